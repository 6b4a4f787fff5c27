/** A PlainWriter whose acknowledgements the test gives out by hand, or at once with `auto`. */
import type { EventLog, PlainWriter, RecordHeader, TopicPartition, WrittenRange } from "../../../eventlog/port.ts";

export interface SentRecord {
  readonly topic: string;
  readonly partition: number;
  readonly key: string | null;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestamp: number;
  readonly done: (error?: Error) => void;
}

export class FakeWriter implements PlainWriter {
  readonly sent: SentRecord[] = [];
  readonly pending = new Set<SentRecord>();
  /** Durable after the present turn of the event loop; otherwise the test calls `done`. */
  auto = false;
  #flushes: (() => void)[] = [];

  send(
    to: TopicPartition,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    timestamp: number,
    done: (error: Error | undefined) => void,
  ): void {
    const record: SentRecord = {
      ...to,
      key: key === null ? null : Buffer.from(key).toString(),
      value: Buffer.from(value ?? []),
      headers: Object.fromEntries((headers ?? []).map((header) => [header.key, Buffer.from(header.value ?? []).toString()])),
      timestamp,
      done: (error) => {
        this.pending.delete(record);
        done(error);
        if (this.pending.size === 0) for (const resolve of this.#flushes.splice(0)) resolve();
      },
    };
    this.sent.push(record);
    this.pending.add(record);
    if (this.auto) setImmediate(() => record.done());
  }

  /** Acknowledges everything that waits. */
  release(): void {
    for (const record of [...this.pending]) record.done();
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  write(): Promise<readonly WrittenRange[]> {
    return Promise.reject(new Error("the ingress writes record by record"));
  }

  flush(): Promise<void> {
    return this.pending.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#flushes.push(resolve));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** An EventLog of which only what the ingress uses is there. */
export function fakeLog(writer: PlainWriter, partitions = 4): EventLog {
  return { plainWriter: () => writer, partitionCount: () => Promise.resolve(partitions) } as unknown as EventLog;
}
