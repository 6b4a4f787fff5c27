/** Repartition topics: the graph they cut, and records going through them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TopologyTestDriver } from "../../../runtime/test-driver.ts";
import { serdes } from "../../../state/serdes.ts";
import { keyValueStore, type KeyValueStore } from "../../../state/store.ts";
import type { ProcessorContext, StreamRecord } from "../../../topology/processor.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import type { Topology } from "../../../topology/topology.ts";

interface Reading {
  readonly site: string;
  readonly celsius: number;
}
const readings = { key: serdes.string, value: serdes.json<Reading>() };
const numbers = { key: serdes.string, value: serdes.json<number>() };

/** Readings of devices, counted by site and 10 ms. */
function perSite(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream("readings", readings)
    .groupBy((_device, reading) => reading.site, { name: "by-site", ...readings })
    .windowedBy({ type: "tumbling", sizeMs: 10, graceMs: 0 })
    .count({ name: "per-site", ...numbers })
    .map<string, number>(({ key, start }, count) => [`${key}@${start}`, count])
    .to("out", numbers);
  return builder.build();
}

test("a grouping by another key cuts the graph in two at a repartition topic, and describe() and mermaid() show it", () => {
  const topology = perSite();
  assert.equal(
    topology.describe(),
    [
      "Sub-topology 0",
      "  Source source-readings (topic: readings) --> by-site-key",
      "  Processor by-site-key (stores: []) --> by-site-repartition-sink",
      "  Sink by-site-repartition-sink (topic: by-site-repartition)",
      "Sub-topology 1",
      "  Source by-site-repartition-source (topic: by-site-repartition) --> per-site",
      "  Processor per-site (stores: [per-site]) --> map-1",
      "  Processor map-1 (stores: []) --> sink-out-1",
      "  Sink sink-out-1 (topic: out)",
      "",
    ].join("\n"),
  );
  assert.match(topology.mermaid(), /n2 -\.-> n3\n/);
  assert.match(topology.mermaid(), /subgraph sub1\[Sub-topology 1\]/);
  assert.deepEqual(topology.forApplication("app").sourceTopics, ["readings", "app-by-site-repartition"], "named as Kafka Streams does");
});

test("the driver pipes a record through the repartition topic in one run", async (t) => {
  const driver = await TopologyTestDriver.create(perSite());
  t.after(() => driver.close());
  const pipe = (device: string, site: string, timestamp: number) =>
    void driver.pipe("readings", { key: device, value: JSON.stringify({ site, celsius: 20 }), timestamp });
  pipe("d1", "north", 1);
  pipe("d2", "north", 2);
  pipe("d3", "south", 3);
  pipe("d1", "north", 10);
  assert.deepEqual(
    driver.output("out").map(({ key, value }) => `${String(key)}=${String(value)}`),
    ["north@0=2", "south@0=1"],
  );
  const between = driver.output("test-by-site-repartition");
  assert.deepEqual(
    between.map(({ key, timestamp }) => [String(key), timestamp]),
    [
      ["north", 1],
      ["north", 2],
      ["south", 3],
      ["north", 10],
    ],
  );
});

test("a key that was not changed needs no repartition topic, also where one is offered", () => {
  const builder = new StreamsBuilder();
  builder.stream("in", numbers).groupByKey({ name: "unused", ...numbers });
  assert.equal(builder.build().subtopologies.length, 1);
});

test("selectKey and a merge of re-keyed streams make grouping go through a repartition topic", () => {
  const builder = new StreamsBuilder();
  const stream = builder.stream("in", numbers);
  stream.merge(stream.selectKey((_key, value) => String(value))).groupByKey({ name: "by-value", ...numbers });
  const topology = builder.build();
  assert.deepEqual(topology.links, [{ from: "by-value-repartition-sink", to: "by-value-repartition-source" }]);
});

test("headers go through a repartition topic, and what flush() forwards is through after one commit()", async (t) => {
  const sums = keyValueStore({ name: "sums", ...numbers });
  type Out = { out: { key: string; value: number } };
  class Summing {
    #store!: KeyValueStore<string, number>;
    #context!: ProcessorContext<Out>;
    #last: StreamRecord<string, number> | undefined;
    init(context: ProcessorContext<Out>): void {
      this.#context = context;
      this.#store = context.store(sums);
    }
    process(record: StreamRecord<string, number>): void {
      this.#store.put(record.key, (this.#store.get(record.key) ?? 0) + record.value);
      this.#last = record;
    }
    flush(): void {
      if (this.#last === undefined) return;
      const { key, timestamp } = this.#last;
      const headers = [{ key: "unit", value: Buffer.from("C") }];
      this.#context.output("out").forward({ key: "all", value: this.#store.get(key) ?? 0, timestamp, headers });
      this.#last = undefined;
    }
  }
  const builder = new StreamsBuilder();
  builder
    .stream("in", numbers)
    .process<Out>({ name: "sum", outputs: ["out"], stores: [sums], create: () => new Summing() })
    .out.repartition({ name: "all", ...numbers })
    .filter(() => true)
    .to("out", numbers);
  const driver = await TopologyTestDriver.create(builder.build());
  t.after(() => driver.close());
  for (const value of [3, 4]) void driver.pipe("in", { key: "k", value: String(value), timestamp: 5 });
  assert.deepEqual(driver.output("out"), []);
  driver.commit();
  const [record] = driver.output("out");
  assert.deepEqual([String(record.key), String(record.value), record.timestamp], ["all", "7", 5]);
  assert.deepEqual(
    record.headers.map(({ key, value }) => `${key}=${String(value)}`),
    ["unit=C"],
  );
});
