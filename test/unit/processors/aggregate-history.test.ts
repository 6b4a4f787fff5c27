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

test("only a window that a newer one may have overtaken is looked up: another look is a read from disk", () => {
  const rows = new Map<string, AggregateRecord>();
  const looks: string[] = [];
  const store = {
    get: (key: string) => (looks.push(key), rows.get(key)),
    put: (key: string, value: AggregateRecord) => rows.set(key, value),
  };
  let streamTime = T0;
  const history = aggregateHistory().create();
  history.init?.({ store: () => store, streamTime: () => streamTime } as never);
  const close = (start: number): void => {
    const value = {
      v: 1,
      tenant: "demo",
      deviceId: "d1",
      window: { type: "tumbling", start, end: start + 1_000 },
      final: true,
      metrics: {},
    } as const;
    history.process({ key: KEY, value, timestamp: start });
  };
  const ringMs = HISTORY_SLOTS * 1_000;
  close(T0);
  streamTime = T0 + ringMs - 1;
  close(T0);
  assert.deepEqual(looks, []);
  streamTime = T0 + ringMs;
  close(T0 + ringMs);
  assert.deepEqual(looks, []);
  close(T0);
  assert.deepEqual(looks, [historyKey(KEY, 1_000, T0)]);
  assert.equal(rows.get(historyKey(KEY, 1_000, T0))?.window.start, T0 + ringMs);
});
