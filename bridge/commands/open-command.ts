/** One command between being taken and being done, as the service holds it. */
import { NEXT_STATES, commandKey, type Command, type CommandState, type CommandReason } from "../../processors/formats/commands.ts";
import type { Due } from "../due-heap.ts";

/**
 * What became of one publication.
 * - `not-written`: the connection was gone before the first byte; nothing went out.
 * - `written`: QoS 0, handed to the socket; there is nothing more to know.
 * - `confirmed`: the broker has it (PUBACK, PUBREC).
 * - `no-subscriber`: the broker had it and nobody to give it to (MQTT 5, reason code 0x10).
 * - `refused`: the broker did not take it; `message` says why.
 * - `unknown`: the connection was lost before the broker answered.
 */
export type PublishOutcome =
  | { readonly kind: "not-written" | "written" | "confirmed" | "no-subscriber" | "unknown" }
  | { readonly kind: "refused"; readonly message: string };

export class OpenCommand implements Due {
  readonly command: Command;
  readonly key: string;
  /** In its partition of `iot.commands`. */
  readonly offset: number;
  /** Of its record's value, what it counts against the bound. */
  readonly bytes: number;
  #state: CommandState;
  attempts = 0;
  reason: CommandReason | undefined;
  /** `sent` is in the log for this attempt and nothing went out: it may go without another. */
  licensed = false;
  /** The attempt whose outcome is awaited; 0 for none. */
  inAir = 0;
  dueTs = 0;
  dueOrder = 0;
  heapIndex = -1;

  constructor(command: Command, offset: number, bytes: number, state: CommandState = "accepted") {
    this.command = command;
    this.key = commandKey(command);
    this.offset = offset;
    this.bytes = bytes;
    this.#state = state;
  }

  get state(): CommandState {
    return this.#state;
  }

  get isAtMostOnce(): boolean {
    return this.command.guarantee === "at-most-once";
  }

  /** Throws RangeError for a step that NEXT_STATES does not have: a fault of ours. */
  to(state: CommandState, reason?: CommandReason): void {
    if (!NEXT_STATES[this.#state].includes(state)) throw new RangeError(`a command cannot go from ${this.#state} to ${state}`);
    this.#state = state;
    this.reason = reason;
  }
}
