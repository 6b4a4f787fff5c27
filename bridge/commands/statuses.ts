/** Status records: made of a command, and read back from the log. */
import { COMMAND_STATES, MAX_STATUS_MESSAGE, isCommandId, type CommandStatus } from "../../processors/formats/commands.ts";
import type { OpenCommand } from "./open-command.ts";

/** A device's result over this many bytes of JSON is left out of the status, and said so. */
const MAX_RESULT_BYTES = 16 * 1024;

export function statusOf(open: OpenCommand, now: number, answer: { message?: string; result?: unknown } = {}): CommandStatus {
  const { id, tenant, deviceId, name, guarantee, expiresTs } = open.command;
  const isTooLong = answer.result !== undefined && Buffer.byteLength(JSON.stringify(answer.result)) > MAX_RESULT_BYTES;
  const message = isTooLong ? `the result is longer than ${MAX_RESULT_BYTES} bytes` : answer.message;
  return {
    v: 1,
    id,
    tenant,
    deviceId,
    name,
    state: open.state,
    ...(open.reason === undefined ? {} : { reason: open.reason }),
    ...(message === undefined ? {} : { message: message.slice(0, MAX_STATUS_MESSAGE) }),
    attempts: open.attempts,
    guarantee,
    ts: now,
    expiresTs,
    offset: open.offset,
    ...(answer.result === undefined || isTooLong ? {} : { result: answer.result }),
  };
}

/** Undefined for bytes that are no status of ours: somebody else wrote into the topic. */
export function parseStatus(value: Uint8Array | null): CommandStatus | undefined {
  if (value === null) return undefined;
  let status: Partial<CommandStatus>;
  try {
    status = JSON.parse(Buffer.from(value).toString()) as Partial<CommandStatus>;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof status !== "object" || status === null || status.v !== 1) return undefined;
  const { id, tenant, deviceId, state, offset, attempts } = status;
  const isStatus =
    isCommandId(id) &&
    typeof tenant === "string" &&
    typeof deviceId === "string" &&
    state !== undefined &&
    COMMAND_STATES.includes(state) &&
    typeof offset === "number" &&
    typeof attempts === "number";
  return isStatus ? (status as CommandStatus) : undefined;
}
