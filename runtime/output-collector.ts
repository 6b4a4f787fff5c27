/** Where a worker's sinks, changelogs and dead letters gather until the next commit takes them. */
import { RecordSet } from "../eventlog/records/record-set.ts";

/** Under Kafka's default `max.message.bytes` (1,048,588), header included. */
const MAX_BATCH_BYTES = 900_000;

/** Two sets take turns: one is being filled while the other is on its way to the log. */
export class OutputCollector {
  #filling = new RecordSet(MAX_BATCH_BYTES);
  #spare: RecordSet | undefined = new RecordSet(MAX_BATCH_BYTES);

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

  /** Drops what has gathered (abort). */
  discard(): void {
    this.#filling.clear();
  }
}
