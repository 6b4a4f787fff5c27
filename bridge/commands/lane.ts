/** One partition that this service carries out: its book, how far it has read, and what the records it reads mean. */
import type { FetchedBatch, RecordHeader } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { parseDeviceKey, RAW_HEADERS, type DlqReason } from "../../processors/formats/names.ts";
import type { CommandBook } from "./command-book.ts";
import { parseAck, parseCommand } from "./parse-command.ts";

/** What of a lane's reading is counted. */
export interface LaneCounters {
  /** Commands whose id was known. */
  duplicates: number;
  readonly acks: { taken: number; known: number; unknown: number; malformed: number };
}

/** A record that nothing can be made of. */
export interface UnreadableCommand {
  readonly reason: DlqReason;
  readonly message: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
  readonly offset: number;
}

export class Lane {
  readonly partition: number;
  readonly book: CommandBook;
  /** Next offsets to read. */
  commandsPosition: number;
  acksPosition: number;
  readonly #laneCount: number;
  readonly #isOwnPartition = (key: Buffer): boolean => partitionForKey(key, 0, key.length, this.#laneCount) === this.partition;

  constructor(partition: number, laneCount: number, book: CommandBook, positions: { commands: number; acks: number }) {
    this.partition = partition;
    this.#laneCount = laneCount;
    this.book = book;
    this.commandsPosition = positions.commands;
    this.acksPosition = positions.acks;
  }

  takeCommands(
    { records, nextOffset }: FetchedBatch,
    now: number,
    counters: LaneCounters,
    onUnreadable: (it: UnreadableCommand) => void,
  ): void {
    for (let i = 0; i < records.count; i++) {
      const [key, value, offset] = [records.key(i), records.value(i), records.offsets[i]];
      const parsed = parseCommand(key, value, this.#isOwnPartition);
      if (parsed.kind === "dead-letter") onUnreadable({ ...parsed, key, value, headers: records.headers(i), offset });
      else if (parsed.kind === "rejected") this.book.reject(parsed.command, offset, parsed.reason, parsed.message, now);
      else if (!this.book.take(parsed.command, offset, value?.length ?? 0, now)) counters.duplicates++;
    }
    this.commandsPosition = nextOffset;
  }

  /** The key is from the topic the device published to, so a device can only answer for itself. */
  takeAcks({ records, nextOffset }: FetchedBatch, now: number, { acks }: LaneCounters): void {
    for (let i = 0; i < records.count; i++) {
      const device = parseDeviceKey(records.key(i)?.toString() ?? "");
      const correlation = records.headers(i).find(({ key }) => key === RAW_HEADERS.correlation)?.value;
      const ack = parseAck(records.value(i), correlation);
      if (device === undefined || ack === undefined) acks.malformed++;
      else acks[this.book.acknowledged(device.tenant, device.deviceId, ack, now)]++;
    }
    this.acksPosition = nextOffset;
  }
}
