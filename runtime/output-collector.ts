/** Where a worker's sinks, changelogs and dead letters gather until the next commit takes them. */
import { BufferPool } from "../eventlog/records/buffer-pool.ts";
import { RecordSet } from "../eventlog/records/record-set.ts";

/** Under Kafka's default `max.message.bytes` (1,048,588), header included. A topic that takes less gets smaller batches. */
const MAX_BATCH_BYTES = 900_000;

/** Two sets take turns: one is being filled while the other is on its way to the log. */
export class OutputCollector {
  readonly #maxBatchBytes: (topic: string) => number;
  readonly #pool = new BufferPool();
  #filling: RecordSet;
  #spare: RecordSet | undefined;

  /** @param maxBytesOf largest record batch that a topic takes, bytes; asked once a partition and set, until limitsChanged() */
  constructor(maxBytesOf: (topic: string) => number = () => MAX_BATCH_BYTES) {
    this.#maxBatchBytes = (topic) => Math.min(MAX_BATCH_BYTES, maxBytesOf(topic));
    this.#filling = new RecordSet(this.#maxBatchBytes, this.#pool);
    this.#spare = new RecordSet(this.#maxBatchBytes, this.#pool);
  }

  get set(): RecordSet {
    return this.#filling;
  }

  /** Hands out what has gathered; only when the last one came back through release(). */
  take(): RecordSet {
    const spare = this.#spare;
    if (spare === undefined) throw new Error("the previous record set is still in flight");
    const taken = this.#filling;
    this.#filling = spare;
    this.#spare = undefined;
    return taken;
  }

  release(set: RecordSet): void {
    set.clear();
    this.#spare = set;
  }

  /** Drops what has gathered, and asks anew what each topic takes. Nothing may be in flight. */
  limitsChanged(): void {
    this.#filling = new RecordSet(this.#maxBatchBytes, this.#pool);
    this.#spare = new RecordSet(this.#maxBatchBytes, this.#pool);
  }

  /** Drops what has gathered (abort). */
  discard(): void {
    this.#filling.clear();
  }
}
