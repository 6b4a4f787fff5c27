/** A job whose output and rows are as large as its input says. */
import { serdes } from "../../state/serdes.ts";
import { keyValueStore, type KeyValueStore } from "../../state/store.ts";
import type { ProcessorContext, StreamRecord } from "../../topology/processor.ts";
import { StreamsBuilder } from "../../topology/streams-builder.ts";
import type { Topology } from "../../topology/topology.ts";

const last = keyValueStore({ name: "last", key: serdes.string, value: serdes.string });

/** Sends each record on, with a header of n bytes when its value is a number n; the store `last` keeps the values of keys that begin with "row". */
export function keepingTopology(source: string, sink: string): Topology {
  class Keeping {
    #store!: KeyValueStore<string, string>;
    #context!: ProcessorContext<{ out: { key: string; value: string } }>;
    init(context: ProcessorContext<{ out: { key: string; value: string } }>): void {
      this.#context = context;
      this.#store = context.store(last);
    }
    process({ key, value, timestamp }: StreamRecord<string, string>): void {
      this.#store.put(key, key.startsWith("row") ? value : "");
      const headers = /^\d+$/.test(value) ? [{ key: "h", value: Buffer.alloc(Number(value)) }] : undefined;
      this.#context.output("out").forward({ key, value, timestamp, headers });
    }
  }
  const builder = new StreamsBuilder();
  builder
    .stream(source, { key: serdes.string, value: serdes.string })
    .process<{ out: { key: string; value: string } }>({ name: "keep", outputs: ["out"], stores: [last], create: () => new Keeping() })
    .out.to(sink, { key: serdes.string, value: serdes.string });
  return builder.build();
}
