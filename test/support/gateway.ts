/** `sluice gateway` in a process of its own. */
import type { Cleanup } from "./cleanup.ts";
import { spawnCli, type CliOptions, type CliProcess } from "./spawn-cli.ts";

/** Resolves when devices may connect. */
export async function startGateway(t: Cleanup, config: CliOptions["config"]): Promise<CliProcess> {
  const gateway = await spawnCli(t, ["gateway"], { config });
  await gateway.waitForOutput(/gateway takes telemetry/);
  return gateway;
}
