/** What a processor is given and what it may do: synchronous per record, no I/O. */
import type { StoreSpec } from "../state/store.ts";

/** Immutable by convention: to change one, forward a new one (pass-through may forward the same object). */
export interface StreamRecord<K, V> {
  readonly key: K;
  readonly value: V;
  /** Event time, epoch ms. */
  readonly timestamp: number;
  /** Headers for a sink to write; undefined for none. */
  readonly headers?: readonly RecordHeader[];
}

export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** Named outputs of a processor with the key and value types that flow out of each. */
export type Outputs = Record<string, { key: unknown; value: unknown }>;

/** Fetched once in init(); forward() runs everything downstream before it returns. */
export interface Output<K, V> {
  forward(record: StreamRecord<K, V>): void;
}

/** The source record that is being processed (also inside punctuators: the last one). keyBytes() and valueBytes() are views, valid during process() only. */
export interface SourceRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The record's own timestamp in the log (CreateTime): for telemetry, the receive time. Epoch ms. */
  readonly timestamp: number;
  keyBytes(): Buffer | null;
  valueBytes(): Buffer | null;
  headers(): readonly RecordHeader[];
  /** The UTF-8 text of the first header with this key, found in place without decoding the others; undefined when absent. */
  headerText(key: string): string | undefined;
}

/** `receive-time` is the greatest source-record timestamp of the task so far: like stream time it is in the log, so a replay sees the same. */
export type PunctuationClock = "stream-time" | "receive-time" | "wall-clock";

export interface Punctuation {
  cancel(): void;
}

export interface ProcessorContext<O extends Outputs = Outputs> {
  /** `<subtopology>_<partition>` */
  readonly taskId: string;
  readonly partition: number;
  readonly source: SourceRecord;
  /** Only stores that were declared with the processor. */
  store<S>(spec: StoreSpec<S>): S;
  output<N extends keyof O & string>(name: N): Output<O[N]["key"], O[N]["value"]>;
  /** Greatest event time of the task so far; -1 before the first. Survives restarts. */
  streamTime(): number;
  /** Moves stream time forward; for sources with `streamTime: "processor"`, whose event time is inside the payload. */
  observeEventTime(timestamp: number): void;
  /** Greatest source-record timestamp of the task so far, the current record included; -1 before the first. Survives restarts. */
  receiveTime(): number;
  schedule(intervalMs: number, clock: PunctuationClock, callback: (now: number) => void): Punctuation;
  /**
   * From open() on: runs work that waits for the disk (scanStored() of a store, say) beside the records, while the task is
   * open. It reads, and fills indexes in memory; it neither forwards nor changes stores. Its error is the task's.
   */
  inBackground(work: () => Promise<void>): void;
  /** Sends the current source record's untouched bytes to the dead-letter topic with a fixed reason code. Once per source record and reason. */
  deadLetter(reason: string, message: string): void;
  /** Adds to the counter `sluice_<name>_total{reason}`, e.g. count("dropped", "late"). Counted when the commit succeeds. */
  count(name: string, reason: string, by?: number): void;
}

export interface Processor<KIn, VIn, O extends Outputs = Outputs> {
  init?(context: ProcessorContext<O>): void;
  /**
   * After stores are restored, before the first record. What scans a store goes into inBackground(): a task with a million
   * rows must not wait for it, and until it is done the rows that no index knows of yet are found by their keys.
   */
  open?(): Promise<void>;
  process(record: StreamRecord<KIn, VIn>): void;
  /**
   * The first `count` are the keys of source records that are some records away from being processed, those that can be read: a
   * chance to bring near what they will need, without changing anything. At many keys most of an event's time is waiting for memory.
   */
  prefetch?(sourceKeys: readonly unknown[], count: number): void;
  /**
   * The key of a source record that is far from being processed: a chance to call prefetch() of stores whose rows it will
   * need. Not called while the rows that are asked for are in memory anyway.
   */
  readAhead?(sourceKey: unknown): void;
  /** Once per commit, before rows are frozen: forward what was coalesced since the last. */
  flush?(): void;
  close?(): void;
}

export interface ProcessorSpec<KIn, VIn, O extends Outputs> {
  /** Unique in the topology. */
  readonly name: string;
  /** Of every output, in the order `describe()` shows them. */
  readonly outputs: readonly (keyof O & string)[];
  readonly stores?: readonly StoreSpec<unknown>[];
  create(): Processor<KIn, VIn, O>;
}
