/** Writes rows of a compacted topic that others read as a table (read-table.ts). */
import type { EventLog, PlainWriter } from "../eventlog/port.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";

export class TableWriter {
  readonly #topic: string;
  readonly #partitions: number;
  readonly #writer: PlainWriter;

  /** Rejects as partitionCount() does, e.g. `unknown-topic`. */
  static async open(log: EventLog, topic: string): Promise<TableWriter> {
    return new TableWriter(topic, await log.partitionCount(topic), log.plainWriter({}));
  }

  private constructor(topic: string, partitions: number, writer: PlainWriter) {
    this.#topic = topic;
    this.#partitions = partitions;
    this.#writer = writer;
  }

  /** @param done called once, when the log has the row or refuses it; never throws instead */
  write(key: string, value: Buffer, done: (error: Error | undefined) => void): void {
    const bytes = Buffer.from(key);
    const to = { topic: this.#topic, partition: partitionForKey(bytes, 0, bytes.length, this.#partitions) };
    try {
      this.#writer.send(to, bytes, value, undefined, Date.now(), done);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  close(): Promise<void> {
    return this.#writer.close();
  }
}
