import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder } from "../../../eventlog/records/batch-builder.ts";
import { encodeBatch } from "../../../eventlog/records/encode-batch.ts";
import { parseBatches } from "../../../eventlog/records/parse-batches.ts";
import type { RecordsView } from "../../../eventlog/records/view.ts";
import { KeyLookahead } from "../../../runtime/key-lookahead.ts";
import type { Serde } from "../../../state/serde.ts";
import { serdes } from "../../../state/serdes.ts";

function viewOf(keys: readonly (string | null)[]): RecordsView {
  const builder = new BatchBuilder("t", 0, 1_000_000);
  for (const key of keys) builder.append(0, key === null ? null : Buffer.from(key), 0, key?.length ?? 0, null, 0, 0);
  const [batch] = parseBatches(Buffer.from(encodeBatch(builder.batches[0], {})));
  return batch.records(0);
}

test("each record gets its own key, each key is prefetched once and before its record's turn", () => {
  const keys = Array.from({ length: 100 }, (_, n) => (n % 10 === 3 ? null : `k${n}`));
  const view = viewOf(keys);
  const lookahead = new KeyLookahead();
  const prefetched: unknown[] = [];
  for (const [index, key] of keys.entries()) {
    assert.equal(
      lookahead.key(view, index, serdes.string, (near, count) => prefetched.push(...near.slice(0, count))),
      key,
    );
    if (key !== null) assert.ok(prefetched.includes(key));
  }
  assert.deepEqual(
    prefetched,
    keys.filter((key) => key !== null),
  );
});

test("another batch is read anew, and processing may begin in its middle", () => {
  const lookahead = new KeyLookahead();
  const none = (): void => undefined;
  assert.equal(lookahead.key(viewOf(["a", "b"]), 1, serdes.string, none), "b");
  lookahead.reset();
  const next = viewOf(["c", "d", "e"]);
  assert.equal(lookahead.key(next, 0, serdes.string, none), "c");
  assert.equal(lookahead.key(next, 2, serdes.string, none), "e");
});

test("a key that cannot be read throws at its own record, not at those before it", () => {
  const picky: Serde<string> = {
    ...serdes.string,
    read: (bytes, start, end) => {
      const text = serdes.string.read(bytes, start, end);
      if (text === "bad") throw new Error("unreadable");
      return text;
    },
  };
  const view = viewOf(["a", "bad", "c"]);
  const lookahead = new KeyLookahead();
  const prefetched: unknown[] = [];
  const key = (index: number): unknown => lookahead.key(view, index, picky, (near, count) => prefetched.push(...near.slice(0, count)));
  assert.equal(key(0), "a");
  assert.throws(() => key(1), /unreadable/);
  assert.equal(key(2), "c");
  assert.deepEqual(prefetched, ["a", "c"]);
});
