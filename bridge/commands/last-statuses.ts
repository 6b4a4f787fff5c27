/** What the status topic says when it is read from the beginning: which commands are open, and which ids are done. */
import { commandKey, isFinal, type CommandStatus } from "../../processors/formats/commands.ts";
import { RecentKeys } from "./recent-keys.ts";

export class LastStatuses {
  /** Open commands by key, with their last status. */
  readonly open = new Map<string, CommandStatus>();
  readonly #finished: RecentKeys;

  /** @param remembered finished ids kept, the newest. */
  constructor(remembered: number) {
    this.#finished = new RecentKeys(remembered);
  }

  /** In the order of the log. */
  add(status: CommandStatus): void {
    const key = commandKey(status);
    if (isFinal(status.state)) {
      this.open.delete(key);
      this.#finished.add(key);
    } else this.open.set(key, status);
  }

  /** Keys of finished commands, oldest first. */
  finished(): Iterable<string> {
    return this.#finished;
  }
}
