import { CommandBook, type BookOutput } from "../../../bridge/commands/command-book.ts";
import { COMMAND_BOUNDS, type CommandBounds } from "../../../bridge/commands/command-settings.ts";
import type { OpenCommand } from "../../../bridge/commands/open-command.ts";
import type { Command, CommandStatus } from "../../../processors/formats/commands.ts";

export const NOW = 1_767_225_600_000;

export function command(id: string, changes: Partial<Command> = {}): Command {
  const guarantee = changes.guarantee ?? "at-least-once";
  return {
    v: 1,
    id,
    tenant: "demo",
    deviceId: "device-1",
    name: "blink",
    guarantee,
    qos: guarantee === "at-most-once" ? 0 : 1,
    issuedTs: NOW,
    expiresTs: NOW + 3_600_000,
    ...changes,
  };
}

/** A book whose pauses are the longest, with what it said. */
export class BookFixture implements BookOutput {
  readonly statuses: CommandStatus[] = [];
  readonly publications: OpenCommand[] = [];
  /** Keys of devices that presence says are offline. */
  readonly offline = new Set<string>();
  readonly book: CommandBook;
  #offset = 0;

  constructor(bounds: Partial<CommandBounds> = {}) {
    this.book = new CommandBook({ ...COMMAND_BOUNDS, ...bounds }, this, () => 1);
  }

  status(status: CommandStatus): void {
    this.statuses.push(status);
  }

  publish(open: OpenCommand): void {
    this.publications.push(open);
  }

  isOffline(deviceKey: string): boolean {
    return this.offline.has(deviceKey);
  }

  take(id: string, changes: Partial<Command> = {}): boolean {
    return this.book.take(command(id, changes), this.#offset++, 100, NOW);
  }

  /** Statuses since the last call, e.g. `c1 sent no-subscriber`. */
  said(): string[] {
    return this.statuses.splice(0).map(({ id, state, reason }) => [id, state, ...(reason === undefined ? [] : [reason])].join(" "));
  }

  /** Publications since the last call, e.g. `c1#2` for the second attempt. */
  published(): string[] {
    return this.publications.splice(0).map((open) => `${open.command.id}#${open.attempts}`);
  }
}
