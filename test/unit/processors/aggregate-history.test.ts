import assert from "node:assert/strict";
import { test } from "node:test";
import type { StoreSpec, KeyValueStore } from "../../../state/store.ts";
import { aggregateHistory, HISTORY_SLOTS, historyKey } from "../../../processors/aggregate-history.ts";
import type { AggregateRecord } from "../../../processors/formats/records.ts";
import { Job, KEY, T0 } from "./support/job.ts";

const [spec] = aggregateHistory().stores as readonly StoreSpec<KeyValueStore<string, AggregateRecord>>[];

test("the last 60 closed windows of a device are kept, whatever older ones come later", async (t) => {
  const job = await Job.start(t, { windows: [{ sizeMs: 1_000, graceMs: 0 }] });
  for (let i = 0; i <= 100; i++) job.send({ bootId: "b", seq: i, ts: T0 + i * 1_000, tempC: i });
  const emitted = job.aggregates();
  assert.equal(emitted.length, 100);
  const store = job.driver.store(spec);
  const kept = Array.from({ length: HISTORY_SLOTS }, (_, slot) => store.get(`${KEY}|1000|${slot}`)).sort(
    (a, b) => (a?.window.start ?? 0) - (b?.window.start ?? 0),
  );
  assert.deepEqual(kept, emitted.slice(-HISTORY_SLOTS));
});

test("an older window does not push out a newer one", async (t) => {
  const job = await Job.start(t, { windows: [{ sizeMs: 1_000, graceMs: 0, idleMs: 10 }], dedupe: { idleMs: 20 } });
  job.send({ bootId: "b", seq: 1, ts: T0, tempC: 1 }, { at: T0 });
  job.send({ bootId: "b", seq: 1, ts: T0, tempC: 1 }, { key: "demo|other", at: T0 + 15 });
  job.send({ bootId: "b", seq: 1, ts: T0 - HISTORY_SLOTS * 1_000, tempC: 2 }, { at: T0 + 100 });
  job.send({ bootId: "b", seq: 1, ts: T0, tempC: 1 }, { key: "demo|third", at: T0 + 200 });
  assert.equal(job.driver.store(spec).get(historyKey(KEY, 1_000, T0))?.window.start, T0);
});

test("slots of windows before 1970 are slots too", () => {
  assert.equal(historyKey("k", 1_000, -1_000), "k|1000|59");
  assert.equal(historyKey("k", 1_000, 61_000), "k|1000|1");
});
