import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { topology } from "../../../examples/hot-minutes.ts";
import { TopologyTestDriver } from "../../../runtime/test-driver.ts";

test("the README's first topology counts hot readings a minute and tells when the minute is over", async (t) => {
  const driver = await TopologyTestDriver.create(topology);
  t.after(() => driver.close());
  for (const [timestamp, celsius] of [
    [1_000, 31],
    [2_000, 20],
    [59_000, 40],
    [66_000, 35],
  ]) {
    await driver.pipe("readings", { key: "oven", value: JSON.stringify({ celsius }), timestamp });
  }
  driver.commit();
  const output = driver.output("hot-minutes").map(({ key, value }) => [String(key), JSON.parse(String(value)) as unknown]);
  assert.deepEqual(output, [["oven", { from: 0, count: 2 }]]);
});

test("the README shows the example as it is", () => {
  const root = new URL("../../..", import.meta.url);
  const example = readFileSync(new URL("examples/hot-minutes.ts", root), "utf8");
  assert.ok(readFileSync(new URL("README.md", root), "utf8").includes(example.trim()));
});
