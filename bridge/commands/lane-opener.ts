/**
 * Brings a lane up from the log alone: committed offsets, then what the status topic says, then the open commands themselves.
 *
 * Statuses and offsets were committed together, so once the offsets are stable they fit. Markers of the last transaction may still be
 * on their way to the status topic (KAFKA-10167): it is read to its uncommitted end, under read_committed.
 */
import { LogError } from "../../eventlog/errors.ts";
import type { EventLog, GroupMember, TopicPartition } from "../../eventlog/port.ts";
import type { CommandStatus } from "../../processors/formats/commands.ts";
import { CommandBook, type BookOutput } from "./command-book.ts";
import type { CommandBounds } from "./command-settings.ts";
import { Lane } from "./lane.ts";
import { LastStatuses } from "./last-statuses.ts";
import { parseCommand } from "./parse-command.ts";
import { readRange } from "./read-range.ts";
import { parseStatus } from "./statuses.ts";

export interface LaneOpenerOptions {
  readonly log: EventLog;
  readonly group: GroupMember;
  readonly topics: { readonly commands: string; readonly status: string; readonly acks: string };
  readonly laneCount: number;
  readonly bounds: CommandBounds;
}

/** Rejects with LogErrors; `unstable-offsets` while another's transaction is open on the lane. */
export async function openLane(partition: number, output: BookOutput, options: LaneOpenerOptions): Promise<Lane> {
  const { log, group, topics, laneCount, bounds } = options;
  const commands = { topic: topics.commands, partition };
  const acks = { topic: topics.acks, partition };
  const committed = await group.committed([commands, acks]);
  const position = async (of: TopicPartition): Promise<number> =>
    committed.find(({ topic }) => topic === of.topic)?.offset ??
    (await log.admin.listOffsets([of], "earliest", "read_committed"))[0].offset;
  const positions = { commands: await position(commands), acks: await position(acks) };

  const last = new LastStatuses(bounds.remembered);
  const statuses = { topic: topics.status, partition };
  const [start] = await log.admin.listOffsets([statuses], "earliest", "read_committed");
  const [end] = await log.admin.listOffsets([statuses], "latest", "read_uncommitted");
  await readRange(log, start, end.offset, (records, i) => {
    const status = parseStatus(records.value(i));
    if (status !== undefined) last.add(status);
  });

  const book = new CommandBook(bounds, output, Math.random);
  for (const key of last.finished()) book.restoreFinished(key);
  await restoreOpen(book, [...last.open.values()], commands, positions.commands, log);
  return new Lane(partition, laneCount, book, positions);
}

/** Reads the open commands again: statuses do not hold their payloads. */
async function restoreOpen(
  book: CommandBook,
  open: CommandStatus[],
  from: TopicPartition,
  endOffset: number,
  log: EventLog,
): Promise<void> {
  if (open.length === 0) return;
  const now = Date.now();
  const byOffset = new Map(open.map((status) => [status.offset, status]));
  const [earliest] = await log.admin.listOffsets([from], "earliest", "read_committed");
  const first = open.reduce((least, { offset }) => Math.min(least, offset), Number.POSITIVE_INFINITY);
  await readRange(log, { ...from, offset: Math.max(first, earliest.offset) }, endOffset, (records, i) => {
    const status = byOffset.get(records.offsets[i]);
    if (status === undefined) return;
    const value = records.value(i);
    const parsed = parseCommand(records.key(i), value, () => true);
    if (parsed.kind !== "command" || parsed.command.id !== status.id) return; // another record now: the topic was made anew
    byOffset.delete(status.offset);
    book.restore(parsed.command, status, value?.length ?? 0, now);
  });
  for (const status of byOffset.values()) book.restoreGone(status, now);
}

/** Errors after which the same lane is simply tried again. */
export function isLaneBusy(error: unknown): boolean {
  return error instanceof LogError && error.code === "unstable-offsets";
}
