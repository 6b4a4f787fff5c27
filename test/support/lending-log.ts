import type { EventLog, FetchedBatch } from "../../eventlog/port.ts";
import { RecordsView } from "../../eventlog/records/view.ts";
import { wrappedLog } from "./wrapped-log.ts";

/** A log whose batches are gone once they are released, as Kafka's are: whoever looks at one then finds nothing. */
export class LendingLog {
  readonly log: EventLog;
  /** Batches with records, by what became of them. */
  lent = 0;
  released = 0;

  constructor(inner: EventLog) {
    this.log = wrappedLog(inner, {
      reader: (options) => {
        const reader = inner.reader(options);
        const poll = reader.poll.bind(reader);
        reader.poll = async (waitMs) => (await poll(waitMs)).map((batch) => this.#lend(batch));
        return reader;
      },
    });
  }

  #lend(batch: FetchedBatch): FetchedBatch {
    const { records } = batch;
    if (records.count === 0) return batch;
    this.lent++;
    const bytes = Buffer.allocUnsafeSlow(records.bytes.length);
    records.bytes.copy(bytes);
    const columns = { ...records, bytes, offsets: records.offsets.slice(), timestamps: records.timestamps.slice() };
    const release = (): void => {
      this.released++;
      for (const { buffer } of [columns.bytes, columns.offsets, columns.timestamps]) buffer.transfer(0);
    };
    return { ...batch, records: new RecordsView(columns), release };
  }
}
