import { randomUUID } from "node:crypto";
import { ShadowClient } from "../../bridge/shadow/shadow-client.ts";
import { isJsonObject, type JsonObject } from "../../processors/formats/merge-patch.ts";
import { shadowRequestProblem, type ShadowDocument, type ShadowOp, type ShadowRequest } from "../../processors/formats/shadow.ts";
import { commandContext, type CommandContext, type CommonOptions } from "../command-options.ts";
import { EXIT } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import { openKafka } from "../open-kafka.ts";
import { Closers } from "../service.ts";

/** A worker that is up takes less; one that is restoring may take longer, and the change is in the log then. */
const APPLIED_WAIT_MS = 10_000;

export interface ShadowOptions extends CommonOptions {
  readonly tenant: string;
}

export interface ChangeOptions extends ShadowOptions {
  readonly id?: string;
  readonly ifVersion?: number;
}

/** `sluice shadow get`: exit code 1 when there is none. */
export function get(deviceId: string, options: ShadowOptions): Promise<number> {
  return withClient(options, async (client, { output }) => {
    const document = await client.get(options.tenant, deviceId);
    if (document === undefined) throw new CommandFailure("shadow-unknown", `device "${deviceId}" has no shadow`);
    output.result(shadowText(document), document);
    return EXIT.ok;
  });
}

/** `sluice shadow set|replace|delete`: exit code 0 when it is applied, 1 when it is refused or no worker has applied it in time. */
export function change(op: ShadowOp, deviceId: string, state: string | undefined, options: ChangeOptions): Promise<number> {
  return withClient(options, async (client, { config, output }) => {
    const { tenant, id = randomUUID(), ifVersion } = options;
    const request: ShadowRequest = {
      v: 1,
      id,
      tenant,
      deviceId,
      op,
      ...(state === undefined ? {} : { state: parseState(state) }),
      ...(ifVersion === undefined ? {} : { ifVersion }),
    };
    const problem = shadowRequestProblem(request, config.shadow);
    if (problem !== undefined) throw new CommandFailure("invalid-shadow", problem);
    const answer = await client.change(request, APPLIED_WAIT_MS);
    if (answer === undefined)
      throw new CommandFailure(
        "shadow-not-applied",
        `request ${id} is in the log, and no worker has applied it within ${APPLIED_WAIT_MS} ms`,
      );
    const { outcome, document } = answer;
    const shown = document === undefined ? `device "${deviceId}" has no shadow` : shadowText(document);
    output.result(`${outcome}\n${shown}`, { id, outcome, shadow: document ?? null });
    return outcome === "applied" ? EXIT.ok : EXIT.failure;
  });
}

async function withClient(
  options: CommonOptions,
  use: (client: ShadowClient, context: CommandContext) => Promise<number>,
): Promise<number> {
  const context = commandContext(options, { quietLevel: "warn" });
  const { shadow } = context.config;
  if (!shadow.enabled) throw new CommandFailure("shadow-off", "shadow.enabled is false: no worker keeps shadows; set it for all of them");
  const closers = new Closers();
  const log = openKafka(context.config, context.logger);
  closers.push("kafka", () => log.close());
  const client = new ShadowClient(log, { updates: shadow.updatesTopic, documents: shadow.topic });
  closers.push("shadow client", () => client.close());
  try {
    return await use(client, context);
  } finally {
    await closers.run(context.logger);
  }
}

function parseState(text: string): JsonObject {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new CommandFailure("invalid-shadow", `the state is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isJsonObject(parsed)) throw new CommandFailure("invalid-shadow", "the state must be a JSON object");
  return parsed;
}

function shadowText({ version, desired, reported, delta, ts }: ShadowDocument): string {
  return [
    `version  ${version}, ${new Date(ts).toISOString()}`,
    `desired  ${JSON.stringify(desired)}`,
    `reported ${JSON.stringify(reported)}`,
    delta === undefined ? "as desired" : `delta    ${JSON.stringify(delta)}`,
  ].join("\n");
}
