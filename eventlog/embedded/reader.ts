/** Reads by events: a poll waits for the partitions to tell of new stable records, and reads ahead within its bound. */
import { LogError } from "../errors.ts";
import type { FetchedBatch, LogReader, PartitionOffset, ReaderOptions, TopicPartition } from "../port.ts";
import type { Database } from "./database.ts";
import { fetchBatches } from "./fetch-batches.ts";
import type { Partition } from "./partition.ts";
import { unknownTopic } from "./topics.ts";
import type { Topics } from "./topics.ts";

/** Defaults of the port. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
const MAX_PARTITION_BYTES = 1024 * 1024;

/** One assigned partition. */
interface Assigned extends TopicPartition {
  /** Undefined: not found when last looked for. */
  source: Partition | undefined;
  /** Where the next fetch begins, and where the caller is. */
  fetchOffset: number;
  handedOut: number;
  /** `fetchOffset` is the end of a batch. */
  aligned: boolean;
  paused: boolean;
  buffered: FetchedBatch[];
  bufferedBytes: number;
  /** Raised by seeks, so that a fetch under way is dropped. */
  epoch: number;
  error: LogError | undefined;
}

export class EmbeddedReader implements LogReader {
  /** What fails in one process does not pass: it is thrown. */
  readonly trouble = undefined;
  readonly #database: Database;
  readonly #topics: Topics;
  readonly #maxBufferedBytes: number;
  readonly #maxPartitionBytes: number;
  readonly #onClose: (reader: EmbeddedReader) => void;
  #assigned: Assigned[] = [];
  #bufferedBytes = 0;
  #filling: Promise<void> | undefined;
  #fillAgain = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #closed = false;
  readonly #onAdvance = (): void => this.#fill();

  constructor(database: Database, topics: Topics, options: ReaderOptions, onClose: (reader: EmbeddedReader) => void) {
    this.#database = database;
    this.#topics = topics;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? MAX_BUFFERED_BYTES;
    this.#maxPartitionBytes = Math.min(options.maxPartitionBytes ?? MAX_PARTITION_BYTES, this.#maxBufferedBytes);
    this.#onClose = onClose;
  }

  assign(offsets: readonly PartitionOffset[]): void {
    this.#assertOpen();
    const before = this.#assigned;
    this.#assigned = offsets.map((to) => {
      const kept = before.find((assigned) => same(assigned, to));
      if (kept !== undefined && kept.handedOut === to.offset) return kept;
      if (kept !== undefined) {
        this.#move(kept, to.offset);
        return kept;
      }
      const assigned: Assigned = {
        topic: to.topic,
        partition: to.partition,
        source: undefined,
        fetchOffset: to.offset,
        handedOut: to.offset,
        aligned: false,
        paused: false,
        buffered: [],
        bufferedBytes: 0,
        epoch: 0,
        error: undefined,
      };
      this.#connect(assigned);
      return assigned;
    });
    for (const dropped of before) if (!this.#assigned.includes(dropped)) this.#disconnect(dropped);
    this.#fill();
  }

  seek(to: PartitionOffset): void {
    this.#move(this.#find(to), to.offset);
    this.#fill();
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const to of partitions) this.#find(to).paused = true;
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const to of partitions) this.#find(to).paused = false;
    if (this.#assigned.some((assigned) => !assigned.paused && assigned.buffered.length > 0)) this.#wake?.();
    this.#fill();
  }

  async poll(waitMs: number): Promise<FetchedBatch[]> {
    this.#assertOpen();
    if (this.#wake !== undefined) throw new LogError("invalid-state", "poll() while another poll() is pending");
    let batches = this.#take();
    if (batches.length === 0) {
      await this.#news(waitMs);
      this.#assertOpen();
      batches = this.#take();
    }
    this.#fill();
    return batches;
  }

  wakeup(): void {
    this.#wake?.();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const assigned of this.#assigned) this.#disconnect(assigned);
    this.#assigned = [];
    this.#wake?.();
    await this.#filling;
    this.#onClose(this);
  }

  /** Waits for a fetch with data or an error, wakeup(), close(), or the time. */
  async #news(waitMs: number): Promise<void> {
    this.#fill();
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        this.#wake = undefined;
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(finish, waitMs);
      this.#wake = finish;
    });
  }

  #take(): FetchedBatch[] {
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
    for (const assigned of this.#assigned) {
      const { error } = assigned;
      if (error === undefined || assigned.paused) continue;
      assigned.error = undefined;
      throw error;
    }
    const batches: FetchedBatch[] = [];
    for (const assigned of this.#assigned) {
      if (assigned.paused || assigned.buffered.length === 0) continue;
      for (const batch of assigned.buffered) batches.push(batch);
      assigned.handedOut = assigned.fetchOffset;
      this.#dropBuffered(assigned);
    }
    return batches;
  }

  #fill(): void {
    this.#fillAgain = true;
    if (this.#filling !== undefined || this.#closed) return;
    this.#filling = this.#run().finally(() => {
      this.#filling = undefined;
      if (this.#fillAgain) this.#fill(); // asked for between the last look and now
    });
  }

  /** One round over the partitions for each time somebody asked; fetches one after the other, so the bound holds. */
  async #run(): Promise<void> {
    while (this.#fillAgain && !this.#closed) {
      this.#fillAgain = false;
      for (const assigned of this.#assigned) {
        if (this.#closed) return;
        if (assigned.paused || assigned.error !== undefined || assigned.bufferedBytes >= this.#maxPartitionBytes) continue;
        if (this.#bufferedBytes >= this.#maxBufferedBytes) break;
        await this.#fetch(assigned);
      }
    }
  }

  async #fetch(assigned: Assigned): Promise<void> {
    const { epoch, fetchOffset } = assigned;
    if (assigned.source === undefined || assigned.source.deleted) this.#connect(assigned);
    const { source } = assigned;
    if (source === undefined) {
      assigned.error = unknownTopic(assigned);
      this.#wake?.();
      return;
    }
    if (fetchOffset === source.stable) return;
    try {
      const fetched = await fetchBatches(this.#database, source, fetchOffset, assigned.aligned, this.#maxPartitionBytes);
      if (assigned.epoch !== epoch || fetched.batches.length === 0) return;
      for (const batch of fetched.batches) assigned.buffered.push(batch);
      assigned.bufferedBytes += fetched.bytes;
      this.#bufferedBytes += fetched.bytes;
      assigned.fetchOffset = fetched.nextOffset;
      assigned.aligned = true;
      this.#fillAgain = true;
    } catch (error) {
      if (assigned.epoch !== epoch || this.#closed) return;
      if (error instanceof LogError) assigned.error = error;
      else this.#failure = error as Error;
    }
    if (!assigned.paused) this.#wake?.();
  }

  #connect(assigned: Assigned): void {
    assigned.source?.unlisten(this.#onAdvance);
    assigned.source = this.#topics.find(assigned.topic, assigned.partition);
    assigned.source?.listen(this.#onAdvance);
  }

  #disconnect(assigned: Assigned): void {
    assigned.epoch++;
    assigned.source?.unlisten(this.#onAdvance);
    this.#dropBuffered(assigned);
  }

  #move(assigned: Assigned, offset: number): void {
    assigned.epoch++;
    assigned.fetchOffset = offset;
    assigned.handedOut = offset;
    assigned.aligned = false;
    assigned.error = undefined;
    this.#dropBuffered(assigned);
  }

  #dropBuffered(assigned: Assigned): void {
    this.#bufferedBytes -= assigned.bufferedBytes;
    assigned.bufferedBytes = 0;
    assigned.buffered = [];
  }

  #find(to: TopicPartition): Assigned {
    this.#assertOpen();
    const assigned = this.#assigned.find((candidate) => same(candidate, to));
    if (assigned === undefined)
      throw new LogError("invalid-state", `${to.topic}/${to.partition} is not assigned to this reader`, { partitions: [to] });
    return assigned;
  }

  #assertOpen(): void {
    if (this.#closed) throw new LogError("closed", "the reader is closed");
  }
}

function same(a: TopicPartition, b: TopicPartition): boolean {
  return a.partition === b.partition && a.topic === b.topic;
}
