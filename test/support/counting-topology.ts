/** A job whose output shows every lost or doubled record: topic `in` to topic `out` over the store `totals`. */
import { serdes } from "../../state/serdes.ts";
import { keyValueStore, type KeyValueStore } from "../../state/store.ts";
import type { ProcessorContext, StreamRecord } from "../../topology/processor.ts";
import { StreamsBuilder } from "../../topology/streams-builder.ts";
import type { Topology } from "../../topology/topology.ts";

const totals = keyValueStore({ name: "totals", key: serdes.string, value: serdes.json<{ count: number }>() });

/** Counts records per key; each output is `key -> running count`, so a lost or doubled record shows. */
export function countingTopology(source = "in", sink = "out"): Topology {
  class Counting {
    #store!: KeyValueStore<string, { count: number }>;
    #context!: ProcessorContext<{ out: { key: string; value: number } }>;
    init(context: ProcessorContext<{ out: { key: string; value: number } }>): void {
      this.#context = context;
      this.#store = context.store(totals);
    }
    process(record: StreamRecord<string, string>): void {
      if (record.value === "boom") throw new Error("boom");
      const row = this.#store.get(record.key) ?? { count: 0 };
      row.count++;
      this.#store.put(record.key, row);
      this.#context.output("out").forward({ key: record.key, value: row.count, timestamp: record.timestamp });
    }
  }
  const builder = new StreamsBuilder();
  builder
    .stream(source, { key: serdes.string, value: serdes.string })
    .process<{ out: { key: string; value: number } }>({ name: "count", outputs: ["out"], stores: [totals], create: () => new Counting() })
    .out.to(sink, { key: serdes.string, value: serdes.json<number>() });
  return builder.build();
}
