/** What the embedding program asks of a worker that runs: committed rows over all its tasks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWindowCursor, rowCursor, StateUnavailableError } from "../../../runtime/queries.ts";
import type { Processor, ProcessorContext, StreamRecord } from "../../../topology/processor.ts";
import { serdes } from "../../../state/serdes.ts";
import { windowStore, type WindowStore } from "../../../state/store.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { waitFor } from "../../support/wait-for.ts";
import { setUp } from "./support/counting-worker.ts";

const hourly = windowStore({ name: "hourly", key: serdes.string, value: serdes.json<number>() });

test("rows of all tasks come in key order, within ranges and in pages", async (t) => {
  const setup = await setUp(t);
  await setup.feed(20, 3);
  const worker = setup.worker();
  await worker.start();
  await waitUntilDrained(setup.log, "app", "in");
  const { queries } = worker;
  assert.deepEqual(queries.stores(), [{ name: "totals", kind: "key-value", changelog: true }]);
  const all = Array.from({ length: 20 }, (_, n) => `k${n}`).sort();
  const keys = async (options: object): Promise<string[]> =>
    (await queries.scan("totals", { limit: 100, ...options })).map(({ key }) => key);
  assert.deepEqual(await keys({}), all);
  assert.deepEqual(await keys({ from: "k11", to: "k2" }), all.slice(all.indexOf("k11"), all.indexOf("k2")));
  assert.deepEqual(await keys({ prefix: "k1", after: "k17", limit: 1 }), ["k18"]);
  const paged: string[] = [];
  for (;;) {
    const page = await keys({ limit: 3, ...(paged.length === 0 ? {} : { after: paged.at(-1) }) });
    paged.push(...page);
    if (page.length < 3) break;
  }
  assert.deepEqual(paged, all);
});

test("a worker that has not started yet says that it is not available: its HTTP API is up before it", async (t) => {
  const { queries } = (await setUp(t)).worker();
  assert.equal(queries.locate("k1").kind, "unavailable");
  await assert.rejects(queries.get("totals", "k1"), StateUnavailableError);
});

test("windows of a key come by time, and all windows in pages by their cursor", async (t) => {
  class Keeping implements Processor<string, string, Record<string, never>> {
    #store!: WindowStore<string, number>;
    init(context: ProcessorContext<Record<string, never>>): void {
      this.#store = context.store(hourly);
    }
    process({ key, timestamp }: StreamRecord<string, string>): void {
      this.#store.put(key, timestamp * 1_000, timestamp);
    }
  }
  const builder = new StreamsBuilder();
  builder
    .stream("in", { key: serdes.string, value: serdes.string })
    .process<Record<string, never>>({ name: "keep", outputs: [], stores: [hourly], create: () => new Keeping() });
  const setup = await setUp(t);
  await setup.feed(8, 5); // timestamps 0 to 4
  const worker = setup.worker({ topology: builder.build() });
  await worker.start();
  await waitFor("the worker runs", () => worker.state === "RUNNING");
  await waitUntilDrained(setup.log, "app", "in");
  const { queries } = worker;
  const seen: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await queries.scan("hourly", { limit: 3, ...(after === undefined ? {} : { after }) });
    for (const { key, windowStart } of page) seen.push(`${key}@${windowStart ?? "none"}`);
    if (page.length < 3) break;
    after = rowCursor(page[page.length - 1]);
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 40 }, (_, n) => `k${Math.floor(n / 5)}@${(n % 5) * 1_000}`),
  );
  let found = 0;
  for (let n = 0; n < 8; n++) {
    const key = `k${n}`;
    const rows = await queries.windows("hourly", key, { from: 1_000, to: 4_000, limit: 10 });
    if (rows.length === 0) continue; // fed to partitions by number, not by hash: its task is another's
    found++;
    assert.deepEqual(
      rows.map(({ windowStart }) => windowStart),
      [1_000, 2_000, 3_000],
    );
  }
  assert.ok(found > 0);
});

test("a window row's cursor sorts like the rows and is read back", () => {
  const rows = [
    { key: "a", windowStart: 9_000 },
    { key: "a", windowStart: 10_000 },
    { key: "a!", windowStart: 0 },
    { key: "ab", windowStart: 5 },
  ];
  const cursors = rows.map(rowCursor);
  assert.deepEqual([...cursors].sort(), cursors);
  assert.deepEqual(cursors.map(parseWindowCursor), rows);
  assert.equal(parseWindowCursor("a"), undefined);
});
