import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TopologyTestDriver } from "../../../runtime/test-driver.ts";
import { serdes } from "../../../state/serdes.ts";
import { keyValueStore } from "../../../state/store.ts";
import type { KeyValueStore } from "../../../state/store.ts";
import type { ProcessorContext, StreamRecord } from "../../../topology/processor.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import { TopologyError } from "../../../topology/errors.ts";

const strings = { key: serdes.string, value: serdes.string };
const numbers = { key: serdes.string, value: serdes.json<number>() };

function texts(driver: TopologyTestDriver, topic: string): string[] {
  return driver.output(topic).map(({ key, value }) => `${String(key)}=${String(value)}`);
}

describe("stateless calls", () => {
  test("filter, map, mapValues, flatMap, flatMapValues, peek, branch and merge do what their names say", async (t) => {
    const seen: string[] = [];
    const builder = new StreamsBuilder();
    const input = builder.stream("in", strings);
    input
      .filter((value) => value !== "drop")
      .mapValues((value) => value.toUpperCase())
      .to("upper", strings);
    input.map((key, value) => [value, key] as const).to("swapped", strings);
    input.flatMap((key, value) => [...value].map((letter) => [key + letter, letter] as const)).to("letters", strings);
    const { a, rest } = input
      .peek((value, key) => seen.push(`${key}:${value}`))
      .branch({ a: (value) => value.startsWith("a"), rest: () => true });
    a.flatMapValues((value) => [value, value]).to("doubled", strings);
    rest.merge(a).to("all", strings);
    const driver = await TopologyTestDriver.create(builder.build());
    t.after(() => driver.close());
    for (const value of ["ab", "drop"]) void driver.pipe("in", { key: "k", value, timestamp: 1 });
    assert.deepEqual(texts(driver, "upper"), ["k=AB"]);
    assert.deepEqual(texts(driver, "swapped"), ["ab=k", "drop=k"]);
    assert.deepEqual(texts(driver, "letters"), ["ka=a", "kb=b", "kd=d", "kr=r", "ko=o", "kp=p"]);
    assert.deepEqual(texts(driver, "doubled"), ["k=ab", "k=ab"]);
    assert.deepEqual(texts(driver, "all"), ["k=ab", "k=drop"]);
    assert.deepEqual(seen, ["k:ab", "k:drop"]);
  });

  test("timestamps go through, null keys and tombstones too", async (t) => {
    const builder = new StreamsBuilder();
    builder.stream("in", strings).to("out", strings);
    const driver = await TopologyTestDriver.create(builder.build());
    t.after(() => driver.close());
    void driver.pipe("in", { key: null, value: null, timestamp: 77 });
    const [record] = driver.output("out");
    assert.deepEqual({ key: record.key, value: record.value, timestamp: record.timestamp }, { key: null, value: null, timestamp: 77 });
  });
});

describe("windowed aggregate", () => {
  async function counting(t: { after(fn: () => Promise<void>): void }): Promise<TopologyTestDriver> {
    const builder = new StreamsBuilder();
    builder
      .stream("in", strings)
      .groupByKey()
      .windowedBy({ type: "tumbling", sizeMs: 10, graceMs: 5 })
      .count({ name: "counts", ...numbers })
      .map<string, number>((windowed, count) => [`${windowed.key}@${windowed.start}`, count])
      .to("out", numbers);
    const driver = await TopologyTestDriver.create(builder.build());
    t.after(() => driver.close());
    return driver;
  }

  test("each window is emitted once, when stream time passes end plus grace", async (t) => {
    const driver = await counting(t);
    for (const timestamp of [0, 9, 10, 14]) void driver.pipe("in", { key: "k", value: "", timestamp });
    assert.deepEqual(texts(driver, "out"), []);
    void driver.pipe("in", { key: "k", value: "", timestamp: 15 });
    assert.deepEqual(texts(driver, "out"), ["k@0=2"]);
    void driver.pipe("in", { key: "other", value: "", timestamp: 100 });
    assert.deepEqual(texts(driver, "out"), ["k@10=3"]);
  });

  test("a record within grace counts, a later one does not", async (t) => {
    const driver = await counting(t);
    for (const timestamp of [0, 14, 3, 15, 4]) void driver.pipe("in", { key: "k", value: "", timestamp });
    assert.deepEqual(texts(driver, "out"), ["k@0=2"]);
  });
});

test("a processor keeps state, forwards to named outputs and flushes once per commit", async (t) => {
  const totals = keyValueStore({ name: "totals", key: serdes.string, value: serdes.json<{ total: number }>() });
  type Out = { big: { key: string; value: number }; totals: { key: string; value: number } };
  class Summing {
    #store!: KeyValueStore<string, { total: number }>;
    #context!: ProcessorContext<Out>;
    readonly #changed = new Set<string>();
    init(context: ProcessorContext<Out>): void {
      this.#context = context;
      this.#store = context.store(totals);
    }
    process(record: StreamRecord<string, number>): void {
      const row = this.#store.get(record.key) ?? { total: 0 };
      row.total += record.value;
      this.#store.put(record.key, row);
      this.#changed.add(record.key);
      if (record.value > 100) this.#context.output("big").forward(record);
    }
    flush(): void {
      for (const key of this.#changed)
        this.#context.output("totals").forward({ key, value: this.#store.get(key)?.total ?? 0, timestamp: 0 });
      this.#changed.clear();
    }
  }
  const builder = new StreamsBuilder();
  const outputs = builder
    .stream("in", numbers)
    .process<Out>({ name: "sum", outputs: ["big", "totals"], stores: [totals], create: () => new Summing() });
  outputs.big.to("big", numbers);
  outputs.totals.to("totals", numbers);
  const driver = await TopologyTestDriver.create(builder.build());
  t.after(() => driver.close());
  for (const value of [1, 200, 3]) void driver.pipe("in", { key: "k", value: String(value), timestamp: 0 });
  assert.deepEqual(texts(driver, "big"), ["k=200"]);
  assert.deepEqual(texts(driver, "totals"), []);
  driver.commit();
  assert.deepEqual(texts(driver, "totals"), ["k=204"]);
  assert.equal(driver.store(totals).get("k")?.total, 204);
  assert.equal(driver.output("test-totals-changelog").length, 1, "one changelog row per key and commit, however many changes");
});

test("a record that cannot be read is a dead letter with its bytes, and the stream goes on", async (t) => {
  const builder = new StreamsBuilder();
  builder.stream("in", numbers).to("out", numbers);
  const driver = await TopologyTestDriver.create(builder.build(), { deadLetterTopic: "dlq" });
  t.after(() => driver.close());
  void driver.pipe("in", { key: "k", value: "{broken", timestamp: 5, headers: [{ key: "h", value: Buffer.from("x") }] });
  void driver.pipe("in", { key: "k", value: "7", timestamp: 6 });
  assert.deepEqual(texts(driver, "out"), ["k=7"]);
  const [letter] = driver.output("dlq");
  assert.equal(String(letter.value), "{broken");
  const headers = Object.fromEntries(letter.headers.map(({ key, value }) => [key, String(value)]));
  assert.equal(headers["dlq.reason"], "processing-error");
  assert.equal(headers["dlq.source"], "in/0/0");
  assert.equal(headers.h, "x");
});

describe("mistakes are refused while the topology is built", () => {
  const code = (expected: string) => (error: unknown) => error instanceof TopologyError && error.code === expected;
  test("one name twice", () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream("in", strings);
    stream.filter(() => true, "same");
    assert.throws(() => stream.filter(() => true, "same"), code("duplicate-name"));
    assert.throws(() => builder.stream("in", strings), code("duplicate-name"));
  });
  test("grouping by a key that was changed, without a repartition topic", () => {
    const builder = new StreamsBuilder();
    assert.throws(
      () =>
        builder
          .stream("in", strings)
          .map((key, value) => [value, key] as const)
          .groupByKey(),
      code("re-keyed"),
    );
  });
  test("a repartition topic of no partitions, or of one name twice", () => {
    const stream = new StreamsBuilder().stream("in", strings);
    assert.throws(() => stream.repartition({ name: "r", ...strings, partitions: 0 }), code("bad-partitions"));
    stream.repartition({ name: "r", ...strings });
    assert.throws(() => stream.repartition({ name: "r", ...strings }), code("duplicate-name"));
  });
  test("two stores of one name", () => {
    const builder = new StreamsBuilder();
    const make = () => keyValueStore({ name: "s", ...strings });
    const spec = (name: string) => ({ name, outputs: [], stores: [make()], create: () => ({ process: () => undefined }) });
    const stream = builder.stream("in", strings);
    stream.process(spec("a"));
    assert.throws(() => stream.process(spec("b")), code("store-conflict"));
  });
  test("an empty topology, a window of no size", () => {
    assert.throws(() => new StreamsBuilder().build(), code("empty"));
    const grouped = new StreamsBuilder().stream("in", strings).groupByKey();
    assert.throws(() => grouped.windowedBy({ type: "tumbling", sizeMs: 0, graceMs: 0 }), code("bad-window"));
  });
});

test("describe() prints sub-topologies, stores and edges; mermaid() the same as a flowchart", () => {
  const builder = new StreamsBuilder();
  builder
    .stream("a", strings)
    .groupByKey()
    .windowedBy({ type: "tumbling", sizeMs: 10, graceMs: 0 })
    .count({ name: "counts", ...numbers });
  builder
    .stream("b", strings)
    .filter(() => true)
    .to("c", strings);
  const topology = builder.build();
  assert.equal(
    topology.describe(),
    [
      "Sub-topology 0",
      "  Source source-a (topic: a) --> counts",
      "  Processor counts (stores: [counts]) --> none",
      "Sub-topology 1",
      "  Source source-b (topic: b) --> filter-1",
      "  Processor filter-1 (stores: []) --> sink-c-1",
      "  Sink sink-c-1 (topic: c)",
      "",
    ].join("\n"),
  );
  assert.match(topology.mermaid(), /^flowchart LR\n/);
  assert.match(topology.mermaid(), /n2 --> n3/);
});

test("types: a wrong serde, store or output name does not compile", () => {
  const builder = new StreamsBuilder();
  const stream = builder.stream("in", strings);
  const store = keyValueStore({ name: "s", ...numbers });
  const neverCalled = (context: ProcessorContext<{ out: { key: string; value: string } }>) => {
    // @ts-expect-error a number serde for a stream of strings
    stream.to("out", numbers);
    // @ts-expect-error the new key is a number
    stream.groupBy((_key, value) => value.length, { name: "by-length", ...strings });
    // @ts-expect-error a number serde for values that are strings
    stream.repartition({ name: "again", ...numbers });
    // @ts-expect-error values are numbers
    context.store(store).put("k", "text");
    // @ts-expect-error no such output
    context.output("other");
    // @ts-expect-error the output takes strings
    context.output("out").forward({ key: "k", value: 1, timestamp: 0 });
  };
  assert.equal(typeof neverCalled, "function");
});
