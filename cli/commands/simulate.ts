import { commandContext, type CommonOptions } from "../command-options.ts";
import { EXIT } from "../exit-codes.ts";
import { toStderr } from "../output.ts";
import { CommandFailure } from "../failure.ts";
import { runSimulate, type SimulateOptions } from "../simulate/command.ts";

export type SimulateCommandOptions = CommonOptions & Omit<SimulateOptions, "url" | "username" | "password"> & { readonly url?: string };

/** `sluice simulate`: a fleet or a recording over MQTT. The broker and its credentials are those of the configuration, unless --url names another. */
export async function run(options: SimulateCommandOptions): Promise<number> {
  const { config, output } = commandContext(options, { quietLevel: "warn" });
  const { username, password } = config.mqtt;
  const ending = new AbortController();
  const onSignal = () => {
    ending.abort();
  };
  process.once("SIGTERM", onSignal).once("SIGINT", onSignal);
  try {
    const result = await runSimulate(
      { ...options, url: options.url ?? config.mqtt.url, username, password },
      { progress: toStderr, signal: ending.signal, now: Date.now },
    );
    output.result(`${result.sent} messages sent in ${(result.elapsedMs / 1000).toFixed(1)} s, ${result.perSecond} a second`, result);
    return EXIT.ok;
  } catch (error) {
    if (error instanceof RangeError || error instanceof SyntaxError) throw new CommandFailure("bad-options", error.message, error);
    throw error;
  }
}
