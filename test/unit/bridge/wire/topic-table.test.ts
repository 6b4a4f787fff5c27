import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TopicTable } from "../../../../bridge/wire/topic-table.ts";

function entry(topic: string): { topicBytes: Buffer; topic: string } {
  return { topicBytes: Buffer.from(topic), topic };
}

function get(table: TopicTable<ReturnType<typeof entry>>, topic: string): string | undefined {
  const bytes = Buffer.from(`<${topic}>`);
  return table.get(bytes, 1, bytes.length - 1)?.topic;
}

test("finds what was set, and nothing else", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 50 }), fc.array(fc.string(), { maxLength: 20 }), (topics, others) => {
      const table = new TopicTable<ReturnType<typeof entry>>(200);
      for (const topic of topics) table.set(entry(topic));
      for (const topic of topics) assert.equal(get(table, topic), topic);
      for (const topic of others) assert.equal(get(table, topic), topics.includes(topic) ? topic : undefined);
    }),
  );
});

test("never holds more than it may, and keeps what is used", () => {
  const table = new TopicTable<ReturnType<typeof entry>>(2_000);
  table.set(entry("used"));
  for (let n = 0; n < 20_000; n++) {
    table.set(entry(`t/demo/d/device-${n}/telemetry`));
    assert.equal(get(table, "used"), "used");
    assert.ok(table.size <= 2_000);
  }
  assert.equal(get(table, "t/demo/d/device-0/telemetry"), undefined);
  assert.equal(get(table, "t/demo/d/device-19999/telemetry"), "t/demo/d/device-19999/telemetry");
});

test("a hundred thousand topics are found as they were set", () => {
  const table = new TopicTable<ReturnType<typeof entry>>(250_000);
  const topicOf = (n: number): string => `t/demo/d/${n}/telemetry`;
  for (let n = 0; n < 100_000; n++) table.set(entry(topicOf(n)));
  let found = 0;
  for (let n = 0; n < 100_000; n++) if (get(table, topicOf(n)) === topicOf(n)) found++;
  // One that has no place near is worked out anew each time.
  assert.ok(found > 99_990, String(found));
});
