/** Writes records to the partition of their key, one at a time and told when durable: for the HTTP API and the command line. */
import type { EventLog, PlainWriter } from "../eventlog/port.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";

/** Above this, senders wait. Bytes. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
/** A person waits for the answer; what people send is little, so company is not worth waiting for. */
const LINGER_MS = 1;

export class KeyedSender {
  readonly #log: EventLog;
  readonly #topic: string;
  readonly #writer: PlainWriter;

  constructor(log: EventLog, topic: string) {
    this.#log = log;
    this.#topic = topic;
    this.#writer = log.plainWriter({ lingerMs: LINGER_MS, maxBufferedBytes: MAX_BUFFERED_BYTES });
  }

  /** `value` as JSON. Resolves when the log has it. Rejects with LogErrors; then it may be there or not. */
  async send(key: string, value: object): Promise<void> {
    const partitions = await this.#log.partitionCount(this.#topic);
    await this.#writer.ready();
    const bytes = Buffer.from(key);
    const to = { topic: this.#topic, partition: partitionForKey(bytes, 0, bytes.length, partitions) };
    await new Promise<void>((resolve, reject) => {
      this.#writer.send(to, bytes, Buffer.from(JSON.stringify(value)), undefined, Date.now(), (error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  close(): Promise<void> {
    return this.#writer.close();
  }
}
