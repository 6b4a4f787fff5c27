/** Writes source records that cannot be processed to the dead-letter topic, in the same commit as everything else. */
import { DEAD_LETTER_KEPT_BYTES, deadLetterHeaders, truncateDeadLetter } from "../eventlog/dead-letter.ts";
import { RuntimeError } from "./errors.ts";
import type { OutputCollector } from "./output-collector.ts";
import type { SourceCursor } from "./source-cursor.ts";
import { reasonOf } from "./task.ts";

export interface DeadLetterOptions {
  /** Undefined: a record that cannot be processed stops the worker. */
  readonly topic: string | undefined;
  readonly partitions: number;
  /** A longer value is cut to DEAD_LETTER_KEPT_BYTES, with its length and hash. */
  readonly maxValueBytes: number;
  readonly now: () => number;
}

export class DeadLetters {
  readonly #options: DeadLetterOptions;
  readonly #collector: OutputCollector;
  /** The last record written, so that several complaints with one reason about one record write it once. */
  #last = "";

  constructor(options: DeadLetterOptions, collector: OutputCollector) {
    this.#options = options;
    this.#collector = collector;
  }

  /** @throws RuntimeError `processing-failed` without a dead-letter topic. */
  send(source: SourceCursor, reason: string, message: string, stage: string): void {
    const { topic, partitions, maxValueBytes, now } = this.#options;
    const position = `${source.topic}/${source.partition}/${source.offset}`;
    if (topic === undefined)
      throw new RuntimeError("processing-failed", `${position}: ${reason}: ${message} (and no dead-letter topic is set)`);
    const identity = `${position}|${reason}`;
    if (identity === this.#last) return;
    this.#last = identity;
    const key = source.keyBytes();
    const whole = source.valueBytes();
    const { value, cut } =
      whole === null || whole.length <= maxValueBytes
        ? { value: whole, cut: undefined }
        : truncateDeadLetter(whole, DEAD_LETTER_KEPT_BYTES);
    const headers = deadLetterHeaders({ reason, message, stage, source: position, ts: now(), original: source.headers(), cut });
    const valueBytes = value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    this.#collector.set
      .partition(topic, source.partition % partitions)
      .append(source.timestamp, key, 0, key?.length ?? 0, valueBytes, 0, valueBytes?.length ?? 0, headers);
  }

  /** A serde or processor threw. Trouble of the state engine or the runtime itself is not the record's fault and goes on up. */
  onProcessingError(source: SourceCursor, error: unknown, stage: string): void {
    if (error instanceof Error && (error.name === "StateError" || error.name === "RuntimeError" || error.name === "LogError")) throw error;
    if (this.#options.topic === undefined) {
      const position = `${source.topic}/${source.partition}/${source.offset}`;
      throw new RuntimeError("processing-failed", `record ${position} cannot be processed, and no dead-letter topic is set`, error);
    }
    this.send(source, reasonOf(error), error instanceof Error ? error.message : String(error), stage);
  }
}
