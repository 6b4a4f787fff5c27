/** Readings of devices, counted by site: a re-keyed stream, a processor with a store and a timer, and a window. */
import { serdes } from "../state/serdes.ts";
import { keyValueStore, type KeyValueStore } from "../state/store.ts";
import type { Processor, ProcessorContext, StreamRecord } from "../topology/processor.ts";
import { StreamsBuilder } from "../topology/streams-builder.ts";

interface Reading {
  readonly site: string;
  readonly celsius: number;
}
type Out = { totals: { key: string; value: number } };

const readings = { key: serdes.string, value: serdes.json<Reading>() };
const numbers = { key: serdes.string, value: serdes.json<number>() };
export const totals = keyValueStore({ name: "totals", key: serdes.string, value: serdes.float64 });

/** Tells the totals that changed, every minute of wall-clock time. */
class Totals implements Processor<string, Reading, Out> {
  readonly #changed = new Set<string>();
  #store!: KeyValueStore<string, number>;

  init(context: ProcessorContext<Out>): void {
    this.#store = context.store(totals);
    context.schedule(60_000, "wall-clock", (now) => {
      for (const site of this.#changed) context.output("totals").forward({ key: site, value: this.#store.get(site) ?? 0, timestamp: now });
      this.#changed.clear();
    });
  }

  process({ key: site }: StreamRecord<string, Reading>): void {
    this.#store.put(site, (this.#store.get(site) ?? 0) + 1);
    this.#changed.add(site);
  }
}

const builder = new StreamsBuilder();
const bySite = builder
  .stream("readings", readings)
  .selectKey((_device, reading) => reading.site)
  .repartition({ name: "by-site", ...readings });
bySite.process<Out>({ name: "totals", outputs: ["totals"], stores: [totals], create: () => new Totals() }).totals.to("totals", numbers);
bySite
  .filter((reading) => reading.celsius > 30)
  .groupByKey()
  .windowedBy({ type: "tumbling", sizeMs: 60_000, graceMs: 5_000 })
  .count({ name: "hot", ...numbers })
  .map(({ key, start }, count) => [key, { from: start, count }])
  .to("hot-minutes", { key: serdes.string, value: serdes.json() });
export const topology = builder.build();
