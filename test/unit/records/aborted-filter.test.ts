import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedFilter } from "../../../eventlog/records/aborted-filter.ts";
import { BatchBuilder } from "../../../eventlog/records/batch-builder.ts";
import { encodeBatch, encodeControlBatch } from "../../../eventlog/records/encode-batch.ts";
import type { ControlType } from "../../../eventlog/records/encode-batch.ts";
import { parseBatches } from "../../../eventlog/records/parse-batches.ts";

/** A log of one-record batches: `data` transactional, `plain` not, and markers. */
class Log {
  readonly #parts: Buffer[] = [];
  #offset = 0;

  data(producerId: number, value: string, key: Buffer | null = null, transactional = true): number {
    const builder = new BatchBuilder("t", 0, 1000);
    const bytes = Buffer.from(value);
    builder.append(1, key, 0, key?.length ?? 0, bytes, 0, bytes.length);
    this.#parts.push(
      Buffer.from(
        encodeBatch(builder.batches[0], { baseOffset: this.#offset, producerId, producerEpoch: 0, baseSequence: 0, transactional }),
      ),
    );
    return this.#offset++;
  }

  marker(producerId: number, type: ControlType): void {
    this.#parts.push(encodeControlBatch(type, { baseOffset: this.#offset++, producerId, producerEpoch: 0, timestamp: 1 }));
  }

  visible(aborted: readonly { producerId: number; firstOffset: number }[]): string[] {
    const filter = new AbortedFilter(aborted);
    const values: string[] = [];
    let nextOffset = 0;
    for (const batch of parseBatches(Buffer.concat(this.#parts))) {
      if (filter.keeps(batch)) values.push(String(batch.records().value(0)));
      nextOffset = batch.nextOffset;
    }
    assert.equal(nextOffset, this.#offset);
    return values;
  }
}

test("exactly the committed and the plain records are kept, whatever the order of the aborted list", () => {
  const log = new Log();
  const first = log.data(1, "aborted 1a");
  const second = log.data(2, "aborted 2a");
  log.data(3, "plain of 3", null, false);
  log.data(1, "aborted 1b");
  log.marker(1, "abort");
  log.data(1, "committed 1");
  log.marker(2, "abort");
  log.marker(1, "commit");
  const third = log.data(1, "aborted 1c");
  log.marker(1, "abort");
  log.data(2, "committed 2");
  log.marker(2, "commit");
  const aborted = [
    { producerId: 1, firstOffset: third },
    { producerId: 2, firstOffset: second },
    { producerId: 1, firstOffset: first },
  ];
  assert.deepEqual(log.visible(aborted), ["plain of 3", "committed 1", "committed 2"]);
});

test("a user's key 00000000 is no abort marker (kafkajs leaks the rest of the transaction there)", () => {
  const log = new Log();
  const first = log.data(1, "aborted");
  log.data(1, "aborted, with the key", Buffer.alloc(4));
  log.data(1, "aborted after it");
  log.marker(1, "abort");
  log.data(1, "committed");
  log.marker(1, "commit");
  assert.deepEqual(log.visible([{ producerId: 1, firstOffset: first }]), ["committed"]);
});

test("markers know their type", () => {
  for (const type of ["commit", "abort"] as const) {
    const [batch] = parseBatches(encodeControlBatch(type, { baseOffset: 3, producerId: 9, producerEpoch: 2, timestamp: 77 }));
    assert.equal(batch.controlType, type);
    assert.equal(batch.isControl, true);
    assert.equal(batch.nextOffset, 4);
    assert.equal(batch.producerId, 9);
  }
});
