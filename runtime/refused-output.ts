/** What the log refused as too large, looked up in what was sent, as long as that is there. */
import { LogError, type RefusedBatch } from "../eventlog/errors.ts";
import { encodeBatch } from "../eventlog/records/encode-batch.ts";
import { ParsedBatch } from "../eventlog/records/parsed-batch.ts";
import type { RecordSet } from "../eventlog/records/record-set.ts";

export interface RefusedOutput {
  readonly topic: string;
  readonly batch: RefusedBatch;
  /** A copy of the key of the largest record that was sent there: the one refused, if it was one. */
  readonly key: Buffer | null;
}

/** Undefined for other errors, and when the log does not say what it refused. */
export function refusedOutput(error: unknown, sent: RecordSet): RefusedOutput | undefined {
  if (!(error instanceof LogError) || error.code !== "record-too-large" || error.refused === undefined) return undefined;
  const [at] = error.partitions;
  const builder = sent.builders.find(({ topic, partition }) => topic === at?.topic && partition === at.partition);
  if (builder === undefined) return undefined;
  let largest = -1;
  let key: Buffer | null = null;
  for (const pending of builder.batches) {
    const bytes = encodeBatch(pending, {});
    const records = new ParsedBatch(bytes, 0, bytes.length).records();
    for (let i = 0; i < records.count; i++) {
      const size = (records.key(i)?.length ?? 0) + (records.value(i)?.length ?? 0);
      if (size <= largest) continue;
      largest = size;
      key = records.key(i);
    }
  }
  return { topic: builder.topic, batch: error.refused, key: key === null ? null : Buffer.from(key) };
}
