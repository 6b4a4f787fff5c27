/** Output topics as they grow, for people who watch: one reader, started by the first subscriber, at the end of the log. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { EventLog, FetchedBatch, LogReader, TopicPartition } from "../eventlog/port.ts";
import type { Feed, FeedRecord } from "./queries.ts";

/** Subscribers are told at most so often: a screen needs no more. */
const TICK_MS = 100;
/** Records of one partition and tick that are handed on; the rest is counted as dropped, so that watching costs little under load. */
const MAX_RECORDS_PER_TICK = 500;
const POLL_WAIT_MS = 1_000;
const RETRY_MS = 1_000;

interface Subscriber {
  readonly topics: ReadonlySet<string>;
  readonly onRecords: (records: readonly FeedRecord[], dropped: number) => void;
}

export class TopicFeed implements Feed {
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #subscribers = new Set<Subscriber>();
  readonly #abort = new AbortController();
  #reader: LogReader | undefined;
  #assigned: TopicPartition[] = [];
  #loop: Promise<void> | undefined;

  constructor(log: EventLog, logger: Logger) {
    this.#log = log;
    this.#logger = logger;
  }

  subscribe(topics: readonly string[], onRecords: Subscriber["onRecords"]): { close(): void } {
    const subscriber: Subscriber = { topics: new Set(topics), onRecords };
    this.#subscribers.add(subscriber);
    this.#reader?.wakeup();
    this.#loop ??= this.#run();
    return {
      close: () => {
        this.#subscribers.delete(subscriber);
        this.#reader?.wakeup();
      },
    };
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#subscribers.clear();
    this.#reader?.wakeup();
    await this.#loop;
  }

  async #run(): Promise<void> {
    try {
      while (this.#subscribers.size > 0 && !this.#abort.signal.aborted) await this.#read();
    } finally {
      this.#loop = undefined; // in the turn that ends the loop: whoever subscribes now begins another
    }
  }

  /** Until nobody subscribes; somebody may again while the reader closes. */
  async #read(): Promise<void> {
    const reader = this.#log.reader({ isolation: "read_committed", maxBufferedBytes: 2 * 1024 * 1024 });
    this.#reader = reader;
    try {
      while (this.#subscribers.size > 0 && !this.#abort.signal.aborted) {
        try {
          await this.#follow(reader);
          this.#deliver(await reader.poll(POLL_WAIT_MS), reader);
          await delay(TICK_MS, undefined, { signal: this.#abort.signal });
        } catch (error) {
          if (this.#abort.signal.aborted) break;
          this.#logger.warn({ err: error }, "feed: reading failed, trying again");
          this.#assigned = [];
          await delay(RETRY_MS, undefined, { signal: this.#abort.signal }).catch(() => undefined); // aborted: the loop ends
        }
      }
    } finally {
      this.#reader = undefined;
      this.#assigned = [];
      await reader.close();
    }
  }

  /** Reads the topics that somebody wants, new ones from their end. */
  async #follow(reader: LogReader): Promise<void> {
    const wanted = new Set([...this.#subscribers].flatMap((subscriber) => [...subscriber.topics]));
    const current = new Set(this.#assigned.map((entry) => entry.topic));
    if (wanted.size === current.size && [...wanted].every((topic) => current.has(topic))) return;
    const partitions: TopicPartition[] = [];
    for (const topic of wanted)
      for (let partition = 0; partition < (await this.#log.partitionCount(topic)); partition++) partitions.push({ topic, partition });
    reader.assign(await this.#log.admin.listOffsets(partitions, "latest", "read_committed"));
    this.#assigned = partitions;
  }

  #deliver(batches: readonly FetchedBatch[], reader: LogReader): void {
    const perTopic = new Map<string, { records: FeedRecord[]; dropped: number }>();
    const taken = new Map<string, number>();
    for (const batch of batches) {
      const name = `${batch.topic}/${batch.partition}`;
      let group = perTopic.get(batch.topic);
      if (group === undefined) perTopic.set(batch.topic, (group = { records: [], dropped: 0 }));
      const room = Math.max(0, MAX_RECORDS_PER_TICK - (taken.get(name) ?? 0));
      const { records } = batch;
      for (let i = Math.max(0, records.count - room); i < records.count; i++) group.records.push(copy(batch, i));
      group.dropped += Math.max(0, records.count - room);
      taken.set(name, (taken.get(name) ?? 0) + Math.min(records.count, room));
      if (batch.lastStableOffset - batch.nextOffset > MAX_RECORDS_PER_TICK * 10) {
        group.dropped += batch.lastStableOffset - batch.nextOffset;
        reader.seek({ topic: batch.topic, partition: batch.partition, offset: batch.lastStableOffset });
      }
    }
    for (const subscriber of [...this.#subscribers]) {
      const groups = [...perTopic].filter(([topic]) => subscriber.topics.has(topic)).map(([, group]) => group);
      const records = groups.flatMap((group) => group.records);
      const dropped = groups.reduce((sum, group) => sum + group.dropped, 0);
      if (records.length > 0 || dropped > 0) subscriber.onRecords(records, dropped);
    }
  }
}

function copy(batch: FetchedBatch, index: number): FeedRecord {
  const key = batch.records.key(index);
  const value = batch.records.value(index);
  return {
    topic: batch.topic,
    partition: batch.partition,
    offset: batch.records.offsets[index],
    timestamp: batch.records.timestamps[index],
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
  };
}
