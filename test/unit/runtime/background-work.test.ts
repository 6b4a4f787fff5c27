import assert from "node:assert/strict";
import { test } from "node:test";
import { TopologyTestDriver } from "../../../runtime/test-driver.ts";
import { serdes } from "../../../state/serdes.ts";
import { keyValueStore } from "../../../state/store.ts";
import type { ProcessorContext, ProcessorSpec } from "../../../topology/processor.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import type { Topology } from "../../../topology/topology.ts";

const store = keyValueStore<string, string>({ name: "rows", key: serdes.string, value: serdes.string });

function topologyWith(open: (context: ProcessorContext) => void): Topology {
  const spec: ProcessorSpec<string, string, Record<string, never>> = {
    name: "indexer",
    outputs: [],
    stores: [store],
    create: () => {
      let context!: ProcessorContext;
      return {
        init: (given) => (context = given),
        open: async () => open(context),
        process: ({ key, value }) => context.store(store).put(key, value),
      };
    },
  };
  const builder = new StreamsBuilder();
  builder.stream("in", { key: serdes.string, value: serdes.string }).process(spec);
  return builder.build();
}

test("an error of what runs in the background is the task's", async () => {
  const topology = topologyWith((context) => context.inBackground(() => Promise.reject(new Error("the disk is gone"))));
  const driver = await TopologyTestDriver.create(topology, { background: "beside" });
  await assert.rejects(driver.settled(), /the disk is gone/);
});

test("records are processed while something runs in the background, and closing ends it", async () => {
  let begun = 0;
  const topology = topologyWith((context) =>
    context.inBackground(async () => {
      for (;;) {
        begun++;
        await context.store(store).scanStored(() => undefined);
        await new Promise(setImmediate);
      }
    }),
  );
  const driver = await TopologyTestDriver.create(topology, { background: "beside" });
  await driver.pipe("in", { key: "a", value: "1", timestamp: 0 });
  assert.equal(driver.store(store).get("a"), "1");
  await driver.close();
  assert.ok(begun > 0);
});
