import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { CommandGate } from "../../api/options.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { commandProblem, isFinal, type Command, type Guarantee, type KnownCommand, type Qos } from "../../processors/formats/commands.ts";
import { deviceKey } from "../../processors/formats/names.ts";
import { openCommandGate } from "../command-gate.ts";
import { commandContext, type CommandContext, type CommonOptions } from "../command-options.ts";
import { EXIT } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import { openKafka } from "../open-kafka.ts";
import { Closers } from "../service.ts";

/** Between two looks with --wait. */
const LOOK_MS = 250;

export interface SendOptions extends CommonOptions {
  readonly tenant: string;
  readonly payload?: string;
  readonly id?: string;
  readonly guarantee: Guarantee;
  readonly qos?: Qos;
  readonly expiresInMs?: number;
  readonly wait?: boolean;
}

export interface StatusOptions extends CommonOptions {
  readonly tenant: string;
  readonly wait?: boolean;
}

/** `sluice command send`: exit code 0 when the log has it, with --wait only when the device acknowledged it. */
export function send(deviceId: string, name: string, options: SendOptions): Promise<number> {
  return withGate(deviceId, options, async (gate, context) => {
    const command = commandOf(deviceId, name, options, gate.expiresInMs);
    await gate.send(command);
    const known = await look(gate, command, options.wait === true);
    return answer(known, command.id, context, options.wait === true);
  });
}

/** `sluice command status`: exit code 1 for a command that is not known, and with --wait for one that was not acknowledged. */
export function status(deviceId: string, id: string, options: StatusOptions): Promise<number> {
  return withGate(deviceId, options, async (gate, context) => {
    const known = await look(gate, { tenant: options.tenant, deviceId, id }, options.wait === true);
    return answer(known, id, context, options.wait === true);
  });
}

async function withGate(
  deviceId: string,
  options: CommonOptions & { readonly tenant: string },
  use: (gate: CommandGate, context: CommandContext) => Promise<number>,
): Promise<number> {
  const context = commandContext(options, { quietLevel: "warn" });
  const { config, logger } = context;
  if (!config.commands.enabled)
    throw new CommandFailure("commands-off", "commands.enabled is false: nothing would carry the command out; set it for the ingress too");
  const closers = new Closers();
  const log = openKafka(config, logger);
  closers.push("kafka", () => log.close());
  try {
    const key = Buffer.from(deviceKey(options.tenant, deviceId));
    const partition = partitionForKey(key, 0, key.length, await log.partitionCount(config.commands.topic));
    const gate = await openCommandGate(config, log, logger, closers, [partition]);
    return gate === undefined ? EXIT.failure : await use(gate, context);
  } finally {
    await closers.run(logger);
  }
}

function commandOf(deviceId: string, name: string, options: SendOptions, defaultLifeMs: number): Command {
  const { tenant, payload, guarantee } = options;
  const now = Date.now();
  const command: Command = {
    v: 1,
    id: options.id ?? randomUUID(),
    tenant,
    deviceId,
    name,
    ...(payload === undefined ? {} : { payload: jsonOrText(payload) }),
    guarantee,
    qos: options.qos ?? (guarantee === "at-least-once" ? 1 : 0),
    issuedTs: now,
    expiresTs: now + (options.expiresInMs ?? defaultLifeMs),
  };
  const problem = commandProblem(command);
  if (problem !== undefined) throw new CommandFailure("invalid-command", problem);
  return command;
}

/** What is no JSON is text: `--payload on` needs no quotes within quotes. */
function jsonOrText(payload: string): unknown {
  try {
    return JSON.parse(payload) as unknown;
  } catch {
    return payload; // text
  }
}

async function look(
  gate: CommandGate,
  { tenant, deviceId, id }: Pick<Command, "tenant" | "deviceId" | "id">,
  wait: boolean,
): Promise<KnownCommand | undefined> {
  for (;;) {
    const known = await gate.status(tenant, deviceId, id);
    if (!wait || known === undefined || (known.state !== "queued" && isFinal(known.state))) return known;
    await delay(LOOK_MS);
  }
}

function answer(known: KnownCommand | undefined, id: string, { output }: CommandContext, wait: boolean): number {
  if (known === undefined) throw new CommandFailure("command-unknown", `no command "${id}" of this device is remembered`);
  const reason = "reason" in known && known.reason !== undefined ? ` (${known.reason})` : "";
  const message = known.message === undefined ? "" : `: ${known.message}`;
  const times = known.attempts > 1 ? `, sent ${known.attempts} times` : "";
  output.result(`${id} ${known.state}${reason}${message}${times}`, known);
  return wait && known.state !== "acknowledged" ? EXIT.failure : EXIT.ok;
}
