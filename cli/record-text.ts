import { toNormalizedRecord } from "../processors/normalized-record.ts";
import type { OutputSerdes } from "../processors/output-serdes.ts";
import type { FeedRecord } from "../runtime/queries.ts";
import type { Config } from "./config/schema.ts";

/** JSON text of output records that are Avro, for the event stream. Undefined for one that cannot be read. */
export function avroRecordText(topics: Config["topics"], output: OutputSerdes): (record: FeedRecord) => string | undefined {
  const readers = new Map<string, (bytes: Buffer) => unknown>([
    [topics.normalized, (bytes) => toNormalizedRecord(output.normalized.read(bytes, 0, bytes.length))],
    [topics.aggregates, (bytes) => output.aggregate.read(bytes, 0, bytes.length)],
    [topics.alerts, (bytes) => output.alert.read(bytes, 0, bytes.length)],
  ]);
  return ({ topic, value }) => {
    const read = readers.get(topic);
    if (read === undefined || value === null) return undefined;
    try {
      return JSON.stringify(read(value));
    } catch {
      // Written with a schema of another version of Sluice: the API counts what it could not show.
      return undefined;
    }
  };
}
