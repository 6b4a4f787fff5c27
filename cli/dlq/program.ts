/** The command line of `sluice dlq`. */
import { InvalidArgumentError, Option, type Command } from "commander";
import type { ListOptions } from "../commands/dlq-list.ts";
import type { PurgeOptions } from "../commands/dlq-purge.ts";
import type { ReplayLettersOptions } from "../commands/dlq-replay.ts";
import type { ShowOptions } from "../commands/dlq-show.ts";
import { parseLogPosition, type LogPosition } from "../log-position.ts";

/** @param command makes a command with what every command takes */
export function buildDlqProgram(
  command: (parent: Command, name: string, description: string) => Command,
  done: (code: number) => void,
  dlq: Command,
): void {
  withFilters(command(dlq, "list", "the letters there are"))
    .option("--limit <n>", "at most so many", whole, 100)
    .action(async (options: ListOptions) => {
      done(await (await import("../commands/dlq-list.ts")).run(options));
    });
  command(dlq, "show", "one letter: what went wrong, headers, key, value")
    .argument("<partition/offset>", "as list prints it", place)
    .option("--raw", "only the value's bytes, untouched")
    .action(async (at: readonly [number, number], options: ShowOptions) => {
      done(await (await import("../commands/dlq-show.ts")).run(at, options));
    });
  withFilters(command(dlq, "replay", "original records back to where they came from, each once however often it is run"))
    .option("--limit <n>", "at most so many records", whole)
    .option("--dry-run", "only say what would be done")
    .action(async (options: ReplayLettersOptions) => {
      done(await (await import("../commands/dlq-replay.ts")).run(options));
    });
  command(dlq, "purge", "delete the oldest letters (a log is only shortened at its beginning: nothing goes by reason)")
    .requiredOption("--before <position>", "the first that stays: an offset, a time, or latest for none", position)
    .option("--partition <n>", "of one partition only", whole)
    .addOption(new Option("--dry-run", "only say what would be done (so does neither option)").conflicts("yes"))
    .option("--yes", "do it")
    .action(async (options: PurgeOptions) => {
      done(await (await import("../commands/dlq-purge.ts")).run(options));
    });
}

function withFilters(command: Command): Command {
  return command
    .option("--reason <codes>", "dlq.reason, several with commas", list)
    .option("--stage <name>", "the part that set it aside, e.g. decode or ingress")
    .option("--source-topic <topic>", "topic that the original stood in")
    .option("--tenant <name>", "of the record's key")
    .option("--device <id>", "of the record's key")
    .option("--since <time>", "set aside then or later: ISO-8601, or @ and epoch ms", time)
    .option("--until <time>", "set aside before", time)
    .option("--partition <n>", "of the dead-letter topic", whole)
    .option("--offsets <first-last>", "in each partition: 17, 17-40 or 17-", range);
}

function list(text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.includes("")) throw new InvalidArgumentError("must be codes with commas");
  return parts;
}

function whole(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("must be a whole number");
  return Number(text);
}

function time(text: string): number {
  const parsed = parseLogPosition(text);
  if (parsed?.kind !== "time") throw new InvalidArgumentError("must be an ISO-8601 time, or @ and epoch ms");
  return parsed.ms;
}

function range(text: string): [number, number] {
  const match = /^(\d{1,15})(-(\d{1,15})?)?$/.exec(text);
  if (match === null) throw new InvalidArgumentError("must be an offset, first-last, or first-");
  const first = Number(match[1]);
  return [first, match[2] === undefined ? first : match[3] === undefined ? Number.MAX_SAFE_INTEGER : Number(match[3])];
}

function place(text: string): [number, number] {
  const match = /^(\d{1,9})\/(\d{1,15})$/.exec(text);
  if (match === null) throw new InvalidArgumentError("must be partition/offset");
  return [Number(match[1]), Number(match[2])];
}

function position(text: string): LogPosition {
  const parsed = parseLogPosition(text);
  if (parsed === undefined || parsed.kind === "earliest")
    throw new InvalidArgumentError("must be latest, an offset, an ISO-8601 time, or @ and epoch ms");
  return parsed;
}
