import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { TopologyTestDriver, type TestOutput } from "../runtime/test-driver.ts";
import { topology, totals } from "./site-watch.ts";

async function startDriver(t: TestContext): Promise<TopologyTestDriver> {
  const driver = await TopologyTestDriver.create(topology, { deadLetterTopic: "dlq", now: Date.UTC(2026, 0, 1) });
  t.after(() => driver.close());
  return driver;
}

/** Input: bytes or text as they stand in the topic, and the record's timestamp, which is its event time. */
async function pipe(driver: TopologyTestDriver, device: string, site: string, celsius: number, timestamp: number): Promise<void> {
  await driver.pipe("readings", { key: device, value: JSON.stringify({ site, celsius }), timestamp });
}

const json = (records: readonly TestOutput[]): unknown[] =>
  records.map(({ key, value }) => [String(key), JSON.parse(String(value)) as unknown]);

test("stream time, moved by records, closes a window: output comes once its end and grace have passed", async (t) => {
  const driver = await startDriver(t);
  await pipe(driver, "d1", "north", 35, 1_000);
  await pipe(driver, "d2", "north", 36, 64_000);
  assert.deepEqual(driver.output("hot-minutes"), [], "within grace the window is open");
  await pipe(driver, "d1", "north", 20, 65_000);
  await pipe(driver, "d2", "north", 31, 66_000);
  assert.deepEqual(json(driver.output("hot-minutes")), [["north", { from: 0, count: 1 }]]);
});

test("the wall clock stands still until the test moves it: timers run then", async (t) => {
  const driver = await startDriver(t);
  await pipe(driver, "d1", "north", 20, 0);
  await pipe(driver, "d2", "north", 20, 0);
  assert.deepEqual(driver.output("totals"), []);
  driver.advanceWallClock(60_000);
  assert.deepEqual(json(driver.output("totals")), [["north", 2]]);
});

test("a store can be looked into, and written to", async (t) => {
  const driver = await startDriver(t);
  driver.store(totals).put("north", 41);
  await pipe(driver, "d1", "north", 20, 0);
  assert.equal(driver.store(totals).get("north"), 42);
});

test("a record that cannot be read is a dead letter with its reason", async (t) => {
  const driver = await startDriver(t);
  await driver.pipe("readings", { key: "d1", value: "{broken", timestamp: 0 });
  const [letter] = driver.output("dlq");
  assert.equal(String(letter.value), "{broken");
  assert.equal(String(letter.headers.find(({ key }) => key === "dlq.reason")?.value), "processing-error");
});
