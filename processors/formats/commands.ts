/**
 * What is written on `iot.commands` and `iot.commands.status`, and when a command is one. Written by the HTTP API, the CLI and
 * anybody else; read by the commands service (bridge/commands). Source: docs/commands.md.
 */
import { deviceKey } from "./names.ts";

export const COMMAND_TOPICS = {
  commands: "iot.commands",
  status: "iot.commands.status",
  acks: "iot.commands.acks",
} as const;

export const GUARANTEES = ["at-most-once", "at-least-once"] as const;
export type Guarantee = (typeof GUARANTEES)[number];
export type Qos = 0 | 1 | 2;

/** The value of a record of `iot.commands` (JSON); its key is `tenant|deviceId`. */
export interface Command {
  readonly v: 1;
  /** Given by who sends it, unique for the device: the same id twice is one command. */
  readonly id: string;
  readonly tenant: string;
  readonly deviceId: string;
  readonly name: string;
  /** Any JSON value, for the device; absent: none. */
  readonly payload?: unknown;
  readonly guarantee: Guarantee;
  /** Of the MQTT message. 0 or 2 with at-most-once, 1 or 2 with at-least-once (see `commandProblem`). */
  readonly qos: Qos;
  /** Epoch ms. */
  readonly issuedTs: number;
  /** Epoch ms. After it the command is not sent any more, and brokers drop it (MQTT 5). */
  readonly expiresTs: number;
}

export const COMMAND_STATES = ["accepted", "sent", "delivered", "acknowledged", "expired", "failed", "rejected"] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

/** Which state may follow which; the first of a command is `accepted`, `rejected` or `expired`. */
export const NEXT_STATES: Readonly<Record<CommandState, readonly CommandState[]>> = {
  accepted: ["sent", "expired", "failed"],
  // again: sent once more, or what became of it is not known
  sent: ["sent", "delivered", "acknowledged", "expired", "failed"],
  delivered: ["sent", "acknowledged", "expired", "failed"],
  acknowledged: [],
  expired: [],
  failed: [],
  rejected: [],
};

/** Why a command is in its state, where that needs a word. */
export const COMMAND_REASONS = [
  "invalid", // rejected: a field is missing or wrong; the message says which
  "wrong-partition", // rejected: not where murmur2 of the key puts it, so acknowledgements would never meet it
  "queue-full", // rejected: the device has as many open commands as it may
  "never-sent", // expired before it could be sent
  "no-acknowledgement", // expired: sent, and the device never said anything
  "outcome-unknown", // sent, failed: at-most-once, and nobody can say whether the broker got it
  "no-subscriber", // sent, failed: the broker had it, and nobody to give it to (MQTT 5)
  "refused-by-broker", // failed: the broker's reason is the message
  "refused-by-device", // failed: the device's reason is the message
  "record-gone", // failed: after a restart the command was not in the log any more
] as const;
export type CommandReason = (typeof COMMAND_REASONS)[number];

/** The value of a record of `iot.commands.status` (JSON); its key is `tenant|deviceId|id`, its partition the command's. */
export interface CommandStatus {
  readonly v: 1;
  readonly id: string;
  readonly tenant: string;
  readonly deviceId: string;
  readonly name: string;
  readonly state: CommandState;
  readonly reason?: CommandReason;
  /** For people. */
  readonly message?: string;
  /** How often it was sent. */
  readonly attempts: number;
  readonly guarantee: Guarantee;
  /** Epoch ms of this state. */
  readonly ts: number;
  readonly expiresTs: number;
  /** Where in the command's partition of `iot.commands` it stands. */
  readonly offset: number;
  /** What the device answered. */
  readonly result?: unknown;
}

/** What is answered to whoever asks for a command: its last status, or `queued` while no service has taken it. */
export type KnownCommand = CommandStatus | (Omit<CommandStatus, "state" | "offset" | "reason" | "result"> & { readonly state: "queued" });

/** A device's acknowledgement, the payload of `t/{tenant}/d/{id}/cmd/ack`. With MQTT 5 correlation data the payload may be empty. */
export interface CommandAck {
  readonly id: string;
  /** Default: ok. */
  readonly status?: "ok" | "error";
  readonly result?: unknown;
  readonly message?: string;
}

/** Longest text of a status's `message`, UTF-16 units: it may quote what came. */
export const MAX_STATUS_MESSAGE = 500;
/** A command is a few hundred bytes; with its envelope this stays far below what brokers and the API's body limit take. Bytes. */
export const MAX_COMMAND_BYTES = 32 * 1024;
/** Longest life of a command, ms: 7 days, what the topics keep by default. */
export const MAX_COMMAND_LIFE_MS = 604_800_000;

const ID = /^[A-Za-z0-9._:-]{1,128}$/;
const MAX_NAME = 128;
const MAX_ID_BYTES = 256;
const FIELDS: ReadonlySet<string> = new Set([
  "v",
  "id",
  "tenant",
  "deviceId",
  "name",
  "payload",
  "guarantee",
  "qos",
  "issuedTs",
  "expiresTs",
]);

export function isCommandId(id: unknown): id is string {
  return typeof id === "string" && ID.test(id);
}

/** Whether a tenant or device can be named in a topic that commands are published to: one level, no wildcard, nothing that ends a key's part. */
export function isCommandTarget(id: unknown): id is string {
  return (
    typeof id === "string" &&
    id !== "" &&
    id.isWellFormed() &&
    !/[/+#|\u0000-\u001f\u007f]/.test(id) &&
    Buffer.byteLength(id) <= MAX_ID_BYTES
  );
}

/** Undefined when `value` is a command; else what is wrong, naming the field. */
export function commandProblem(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "must be an object";
  const command = value as Record<string, unknown>;
  const extra = Object.keys(command).find((field) => !FIELDS.has(field));
  if (extra !== undefined) return `unknown field "${extra.slice(0, 50)}"`;
  if (command.v !== 1) return "v must be 1";
  if (!isCommandId(command.id)) return 'id must be 1 to 128 letters, digits, ".", "_", ":" and "-"';
  if (!isCommandTarget(command.tenant)) return 'tenant must be one topic level without "|" and wildcards, at most 256 bytes';
  if (!isCommandTarget(command.deviceId)) return 'deviceId must be one topic level without "|" and wildcards, at most 256 bytes';
  if (typeof command.name !== "string" || command.name === "" || command.name.length > MAX_NAME) return "name must be 1 to 128 characters";
  if (!GUARANTEES.includes(command.guarantee as Guarantee)) return `guarantee must be ${GUARANTEES.join(" or ")}`;
  if (command.qos !== 0 && command.qos !== 1 && command.qos !== 2) return "qos must be 0, 1 or 2";
  // MQTT itself sends a QoS 1 message again, and a QoS 0 message perhaps not once.
  if (command.guarantee === "at-most-once" && command.qos === 1) return "qos must be 0 or 2 with at-most-once";
  if (command.guarantee === "at-least-once" && command.qos === 0) return "qos must be 1 or 2 with at-least-once";
  if (!isTime(command.issuedTs)) return "issuedTs must be epoch milliseconds";
  if (!isTime(command.expiresTs)) return "expiresTs must be epoch milliseconds";
  if (command.expiresTs - command.issuedTs > MAX_COMMAND_LIFE_MS) return "expiresTs must be within 7 days of issuedTs";
  return undefined;
}

/** Key of a command's status records, and what a command is known under. */
export function commandKey({ tenant, deviceId, id }: { tenant: string; deviceId: string; id: string }): string {
  return `${deviceKey(tenant, deviceId)}|${id}`;
}

export function isFinal(state: CommandState): boolean {
  return NEXT_STATES[state].length === 0;
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
