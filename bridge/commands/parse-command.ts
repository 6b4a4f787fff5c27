/** Records of `iot.commands` and `iot.commands.acks`, which anybody may have written. */
import { commandProblem, isCommandId, isCommandTarget, MAX_COMMAND_BYTES } from "../../processors/formats/commands.ts";
import type { Command, CommandAck, CommandReason } from "../../processors/formats/commands.ts";
import { deviceKey, type DlqReason } from "../../processors/formats/names.ts";

/**
 * - `command`: one to carry out.
 * - `rejected`: no command, but it names its device and id, so that a status can say so.
 * - `dead-letter`: nothing that a status could be about.
 */
export type ParsedCommand =
  | { readonly kind: "command"; readonly command: Command }
  | { readonly kind: "rejected"; readonly command: Command; readonly reason: CommandReason; readonly message: string }
  | { readonly kind: "dead-letter"; readonly reason: DlqReason; readonly message: string };

/** @param isOwnPartition whether murmur2 of the key is the partition that it was read from. */
export function parseCommand(key: Buffer | null, value: Buffer | null, isOwnPartition: (key: Buffer) => boolean): ParsedCommand {
  if (value === null || value.length === 0) return { kind: "dead-letter", reason: "empty", message: "no value" };
  const parsed = parseJson(value);
  if (parsed === undefined) return { kind: "dead-letter", reason: "not-json", message: "not UTF-8 JSON" };
  const named = (typeof parsed.json === "object" && parsed.json !== null ? parsed.json : {}) as Partial<Command>;
  const problem = value.length > MAX_COMMAND_BYTES ? `longer than ${MAX_COMMAND_BYTES} bytes` : commandProblem(parsed.json);
  if (!isCommandId(named.id) || !isCommandTarget(named.tenant) || !isCommandTarget(named.deviceId))
    return { kind: "dead-letter", reason: "schema", message: problem ?? "names no command" };
  const rejected = (reason: CommandReason, message: string): ParsedCommand => ({
    kind: "rejected",
    command: nominal(named, { id: named.id ?? "", tenant: named.tenant ?? "", deviceId: named.deviceId ?? "" }),
    reason,
    message,
  });
  // Before what is wrong with it: a status is only told to the device that the key names.
  if (key === null || key.toString() !== deviceKey(named.tenant, named.deviceId))
    return { kind: "dead-letter", reason: "device-mismatch", message: "the key is not tenant|deviceId of the value" };
  if (!isOwnPartition(key)) return rejected("wrong-partition", "written by a partitioner other than murmur2 of the key");
  if (problem !== undefined) return rejected("invalid", problem);
  return { kind: "command", command: parsed.json as Command };
}

/** Fields that a status shows, as far as they are there. */
function nominal(named: Partial<Command>, identity: Pick<Command, "id" | "tenant" | "deviceId">): Command {
  const time = (value: unknown): number => (typeof value === "number" && Number.isSafeInteger(value) ? value : 0);
  return {
    v: 1,
    ...identity,
    name: typeof named.name === "string" ? named.name.slice(0, 128) : "",
    guarantee: named.guarantee === "at-most-once" ? "at-most-once" : "at-least-once",
    qos: 1,
    issuedTs: time(named.issuedTs),
    expiresTs: time(named.expiresTs),
  };
}

/**
 * Undefined when it names no command. With correlation data (MQTT 5) the payload may be anything or nothing; one that names another
 * id than the correlation data is no acknowledgement.
 */
export function parseAck(value: Buffer | null, correlation: Uint8Array | null | undefined): CommandAck | undefined {
  const json = value === null || value.length === 0 ? undefined : parseJson(value)?.json;
  const fields = (typeof json === "object" && json !== null ? json : {}) as Partial<Record<keyof CommandAck, unknown>>;
  const correlated = correlation === null || correlation === undefined ? undefined : Buffer.from(correlation).toString();
  const id = fields.id ?? correlated;
  if (!isCommandId(id) || (correlated !== undefined && correlated !== id)) return undefined;
  const { status, result, message } = fields;
  if (status !== undefined && status !== "ok" && status !== "error") return undefined;
  return { id, status, result, message: typeof message === "string" ? message : undefined };
}

function parseJson(bytes: Buffer): { json: unknown } | undefined {
  try {
    return { json: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown };
  } catch {
    return undefined; // neither UTF-8 nor JSON: the caller says what becomes of it
  }
}
