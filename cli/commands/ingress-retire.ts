import { STATES } from "../../bridge/presence/formats.ts";
import { retireSession } from "../../bridge/scale-out/retire.ts";
import { sharedFilter } from "../../bridge/scale-out/slot.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { ingressFor } from "../ingress-topics.ts";
import { EXIT } from "../exit-codes.ts";
import { mqttSettings } from "../mqtt-settings.ts";
import { openKafka } from "../open-kafka.ts";
import { requireTopics } from "../topics/require-topics.ts";

/** `sluice ingress --retire <clientId>`: forwards what waits in a session that no ingress has any more, and ends it. */
export async function run(clientId: string, options: CommonOptions): Promise<number> {
  const { config, logger, output } = commandContext(options);
  const log = openKafka(config, logger);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new Error("stopped: the session is still there, with what is left in it"));
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, onSignal);
  try {
    await requireTopics(log.admin, config);
    const { mqtt, topics } = ingressFor(config, mqttSettings(config, logger));
    const plain = [...new Set([...mqtt.topics, ...STATES.filters(), ...(config.mqtt.scaleOut?.filters ?? []).flat()])];
    const formerTopics = [...plain, ...plain.map((filter) => sharedFilter(config.mqtt.clientId, filter))];
    const retired = await retireSession(
      {
        mqtt: { ...mqtt, clientId, topics: [], stateTopics: [], formerTopics },
        topics,
        log,
        validation: config.validation,
        ingressId: clientId,
        logger,
      },
      stop.signal,
    );
    output.result(`${retired.messages} messages waited in ${clientId}; the session is ended`, { clientId, ...retired });
    return EXIT.ok;
  } finally {
    await log.close();
  }
}
