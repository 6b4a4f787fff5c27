/** Records that cannot be processed or written: what the handlers say, and dead letters in the same commit as everything else. */
import type { RecordHeader } from "../topology/processor.ts";
import { letterRecord, type LetterContent } from "./dead-letter-record.ts";
import { decide, type ErrorHandlers, type ErrorKind } from "./error-handlers.ts";
import { messageOf, RuntimeError } from "./errors.ts";
import type { OutputCollector } from "./output-collector.ts";
import type { PartitionCounts } from "./partition-counts.ts";
import type { SourceCursor } from "./source-cursor.ts";
import { reasonOf } from "./task.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** Default of WorkerOptions.maxDeadLetterBytes. */
const MAX_VALUE_BYTES = 1_000_000;

export interface DeadLetterOptions {
  /** Undefined: a record that cannot be processed stops the worker, unless a handler says otherwise. */
  readonly topic: string | undefined;
  readonly partitions: number;
  /** A longer value is cut to its beginning (DEAD_LETTER_KEPT_BYTES), with its length and hash. */
  readonly maxValueBytes: number;
  /** What the topic takes, bytes: more of a letter is cut away. Without it everything fits. */
  readonly maxRecordBytes?: number;
  readonly handlers?: ErrorHandlers;
  readonly now: () => number;
}

/** Of a worker: partitions and limit are known once its topics are loaded. */
export function deadLetterOptions(
  { deadLetterTopic: topic, maxDeadLetterBytes = MAX_VALUE_BYTES, handlers }: WorkerOptions,
  topics: PartitionCounts,
): DeadLetterOptions {
  return {
    topic,
    get partitions() {
      return topic === undefined ? 1 : topics.of(topic);
    },
    get maxRecordBytes() {
      return topic === undefined ? Infinity : topics.recordLimitOf(topic).bytes;
    },
    maxValueBytes: maxDeadLetterBytes,
    handlers,
    now: Date.now,
  };
}

/** A sink's record that was not written. Sizes in bytes. */
export interface RefusedRecord {
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[] | undefined;
  readonly timestamp: number;
  readonly bytes: number;
  readonly maxBytes: number;
}

/** `dlq.reason` of a production error. */
export const RECORD_TOO_LARGE = "record-too-large";

export class DeadLetters {
  readonly #options: DeadLetterOptions;
  readonly #collector: OutputCollector;
  /** The last record written, so that several complaints with one reason about one record write it once. */
  #last = "";

  constructor(options: DeadLetterOptions, collector: OutputCollector) {
    this.#options = options;
    this.#collector = collector;
  }

  /** @throws RuntimeError `processing-failed` without a dead-letter topic, `record-too-large` when that takes no letter. */
  send(source: SourceCursor, reason: string, message: string, stage: string): void {
    const { topic } = this.#options;
    const position = positionOf(source);
    if (topic === undefined)
      throw new RuntimeError("processing-failed", `${position}: ${reason}: ${message} (and no dead-letter topic is set)`);
    const identity = `${position}|${reason}`;
    if (identity === this.#last) return;
    this.#last = identity;
    const content = { key: source.keyBytes(), value: source.valueBytes(), headers: source.headers() };
    this.#write(topic, source, source.timestamp, content, { reason, message, stage });
  }

  /**
   * A serde or processor threw. Trouble of the state engine or the runtime itself is not the record's fault and goes on up.
   * @returns what was done
   * @throws RuntimeError `processing-failed` when the handler says so
   */
  onError(kind: "decode" | "processing", source: SourceCursor, error: unknown, stage: string): "continue" | "dead-letter" {
    if (error instanceof Error && (error.name === "StateError" || error.name === "RuntimeError" || error.name === "LogError")) throw error;
    const action = this.#decide(kind, source, error, stage);
    if (action === "dead-letter") this.send(source, reasonOf(error), messageOf(error), stage);
    return action;
  }

  /**
   * A record of ours that its topic would not take. The letter holds that record, and not the source record, which may have little to
   * do with it (a timer's or flush()'s output).
   */
  onProductionError(source: SourceCursor, record: RefusedRecord, stage: string): "continue" | "dead-letter" {
    const message = `a record of ${record.bytes} bytes is over what topic ${record.topic} takes (${record.maxBytes})`;
    const action = this.#decide("production", source, new RuntimeError("record-too-large", message), stage);
    if (action === "continue") return action;
    const { topic } = this.#options;
    if (topic === undefined)
      throw new RuntimeError("processing-failed", `${positionOf(source)}: ${message} (and no dead-letter topic is set)`);
    const content = { key: record.key, value: record.value, headers: record.headers ?? [] };
    this.#write(topic, source, record.timestamp, content, { reason: RECORD_TOO_LARGE, message, stage });
    return action;
  }

  #write(
    topic: string,
    source: SourceCursor,
    timestamp: number,
    content: LetterContent,
    about: { readonly reason: string; readonly message: string; readonly stage: string },
  ): void {
    const { partitions, maxValueBytes, maxRecordBytes = Infinity, now } = this.#options;
    const letter = { ...about, source: positionOf(source), ts: now() };
    const { key, value, headers } = letterRecord(letter, content, { maxValueBytes, maxRecordBytes });
    this.#collector.set
      .partition(topic, source.partition % partitions)
      .append(timestamp, key, 0, key?.length ?? 0, value, 0, value?.length ?? 0, headers);
  }

  #decide(kind: ErrorKind, source: SourceCursor, error: unknown, stage: string): "continue" | "dead-letter" {
    const { topic, partition, offset } = source;
    const fallback = this.#options.topic === undefined ? "fail" : "dead-letter";
    const action = decide(this.#options.handlers ?? {}, { kind, error, stage, topic, partition, offset }, fallback);
    if (action !== "fail") return action;
    const why = this.#options.topic === undefined ? ", and no dead-letter topic is set" : "";
    throw new RuntimeError("processing-failed", `record ${positionOf(source)} cannot be processed (${kind})${why}`, error);
  }
}

function positionOf({ topic, partition, offset }: SourceCursor): string {
  return `${topic}/${partition}/${offset}`;
}
