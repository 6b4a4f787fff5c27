/** A topology of two sub-topologies whose output shows every lost or doubled record: device readings counted by site. */
import type { EventLog } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import { serdes } from "../../state/serdes.ts";
import { keyValueStore, type KeyValueStore } from "../../state/store.ts";
import type { ProcessorContext, StreamRecord } from "../../topology/processor.ts";
import { StreamsBuilder } from "../../topology/streams-builder.ts";
import type { Topology } from "../../topology/topology.ts";
import { readTopic } from "./telemetry.ts";

const texts = { key: serdes.string, value: serdes.string };
export const siteCounts = keyValueStore({ name: "site-counts", key: serdes.string, value: serdes.float64 });
type Out = { out: { key: string; value: string } };

class Counting {
  #store!: KeyValueStore<string, number>;
  #context!: ProcessorContext<Out>;
  init(context: ProcessorContext<Out>): void {
    this.#context = context;
    this.#store = context.store(siteCounts);
  }
  process({ key, timestamp }: StreamRecord<string, string>): void {
    const count = (this.#store.get(key) ?? 0) + 1;
    this.#store.put(key, count);
    this.#context.output("out").forward({ key, value: String(count), timestamp });
  }
}

/** Each output is `site -> running count`. A reading is keyed by device; its value names the site. */
export function siteTopology(input: string, output: string, partitions?: number): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(input, texts)
    .selectKey((_device, site) => site)
    .repartition({ name: "by-site", ...texts, partitions })
    .process<Out>({ name: "count", outputs: ["out"], stores: [siteCounts], create: () => new Counting() })
    .out.to(output, texts);
  return builder.build();
}

/** `count` readings of 50 devices at 7 sites, from the n-th on. */
export async function writeReadings(log: EventLog, topic: string, from: number, count: number): Promise<void> {
  const partitions = await log.partitionCount(topic);
  const set = new RecordSet(100_000);
  for (let n = from; n < from + count; n++) {
    const [key, value] = [Buffer.from(`d${n % 50}`), Buffer.from(`site-${n % 7}`)];
    set.partition(topic, partitionForKey(key, 0, key.length, partitions)).append(n, key, 0, key.length, value, 0, value.length);
  }
  const writer = log.plainWriter({});
  await writer.write(set);
  await writer.close();
}

/** The counts of each site in the order of the output; undisturbed that is 1 to n. */
export async function readSiteCounts(log: EventLog, topic: string): Promise<Map<string, number[]>> {
  const bySite = new Map<string, number[]>();
  for (const { key, value } of await readTopic(log, topic)) {
    const list = bySite.get(String(key)) ?? [];
    list.push(Number(String(value)));
    bySite.set(String(key), list);
  }
  return bySite;
}

/** What `count` readings give. */
export function expectedSiteCounts(count: number): Map<string, number[]> {
  const sites = Array.from({ length: 7 }, (_, site) => site);
  return new Map(sites.map((site) => [`site-${site}`, Array.from({ length: Math.ceil((count - site) / 7) }, (_, index) => index + 1)]));
}
