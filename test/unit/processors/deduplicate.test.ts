import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { deduplicate } from "../../../processors/deduplicate.ts";
import { MAX_IDS_PER_BUCKET } from "../../../processors/recent-ids.ts";
import { TopologyTestDriver } from "../../../runtime/test-driver.ts";
import { serdes } from "../../../state/serdes.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";

async function start(retentionMs: number): Promise<TopologyTestDriver> {
  const builder = new StreamsBuilder();
  const text = { key: serdes.string, value: serdes.string };
  const id = ({ value }: { value: string }): string | undefined => (value === "anonymous" ? undefined : value);
  builder
    .stream("in", text)
    .process(deduplicate<string>({ name: "once", id, retentionMs }))
    .unique.to("out", text);
  return TopologyTestDriver.create(builder.build());
}

test("an id passes once per key within the retention, and again after a quarter more at the latest", async () => {
  const sends = fc.array(fc.record({ key: fc.constantFrom("a", "b"), id: fc.constantFrom("x", "y", "z"), wait: fc.nat(60) }), {
    maxLength: 80,
  });
  await fc.assert(
    fc.asyncProperty(sends, async (records) => {
      const driver = await start(100);
      const passedAt = new Map<string, number>();
      let now = 1_000;
      for (const { key, id, wait } of records) {
        now += wait;
        void driver.pipe("in", { key, value: id, timestamp: now });
        const passed = driver.output("out").length === 1;
        const name = `${key}/${id}`;
        const age = now - (passedAt.get(name) ?? -Infinity);
        if (age <= 100) assert.ok(!passed, `${name} again after ${age} ms`);
        if (age > 125) assert.ok(passed, `${name} not seen for ${age} ms`);
        if (passed) passedAt.set(name, now);
      }
      await driver.close();
    }),
    { numRuns: 60 },
  );
});

test("records without an id pass", async () => {
  const driver = await start(100);
  for (let i = 0; i < 3; i++) void driver.pipe("in", { key: "a", value: "anonymous", timestamp: 1 });
  assert.equal(driver.output("out").length, 3);
  await driver.close();
});

test("the ids of one key and bucket are bounded: the oldest is forgotten first", async () => {
  const driver = await start(1_000_000);
  for (let i = 0; i <= MAX_IDS_PER_BUCKET; i++) void driver.pipe("in", { key: "a", value: `id-${i}`, timestamp: 1 });
  driver.output("out");
  void driver.pipe("in", { key: "a", value: "id-1", timestamp: 1 });
  assert.equal(driver.output("out").length, 0);
  void driver.pipe("in", { key: "a", value: "id-0", timestamp: 1 });
  assert.equal(driver.output("out").length, 1);
  await driver.close();
});

test("a retention that is no time is refused", () => {
  assert.throws(() => deduplicate<string>({ name: "x", id: () => "", retentionMs: 0 }), RangeError);
});
