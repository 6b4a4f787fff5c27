/** Keeps the last closed windows of each device for HTTP: a ring of rows, so that nothing has to be deleted. */
import { ByteReader } from "../state/byte-reader.ts";
import { checkRowVersion } from "../state/row-format.ts";
import type { Serde } from "../state/serde.ts";
import { serdes } from "../state/serdes.ts";
import { keyValueStore, type KeyValueStore } from "../state/store.ts";
import type { Processor, ProcessorContext, ProcessorSpec, StreamRecord } from "../topology/processor.ts";
import { STORES, type AggregateRecord, type MetricAggregate } from "./formats/records.ts";

/** Closed windows kept per device and window size. */
export const HISTORY_SLOTS = 60;

/** Version 1 had numbers in full. */
const VERSION = 2;
const FIRST_SHORT = 2;
const reader = new ByteReader();

const aggregateSerde: Serde<AggregateRecord> = {
  name: "aggregate-row",
  write(record, out) {
    out.u8(VERSION);
    out.string(record.tenant);
    out.string(record.deviceId);
    out.svarint(record.window.start);
    out.varint(record.window.end - record.window.start);
    const names = Object.keys(record.metrics);
    out.varint(names.length);
    for (const name of names) {
      const metric = record.metrics[name];
      out.string(name);
      out.varint(metric.count);
      out.number(metric.sum);
      out.number(metric.min);
      out.number(metric.max);
      out.f64(metric.mean);
      out.f64(metric.variance);
      out.number(metric.first);
      out.number(metric.last);
    }
  },
  read(bytes, start, end) {
    reader.reset(bytes, start, end);
    const version = reader.u8();
    checkRowVersion(version, VERSION, "aggregate row");
    reader.inFull = version < FIRST_SHORT;
    const tenant = reader.string();
    const deviceId = reader.string();
    const windowStart = reader.svarint();
    const window = { type: "tumbling" as const, start: windowStart, end: windowStart + reader.varint() };
    const metrics: Record<string, MetricAggregate> = {};
    for (let count = reader.varint(); count > 0; count--) {
      metrics[reader.string()] = {
        count: reader.varint(),
        sum: reader.number(),
        min: reader.number(),
        max: reader.number(),
        mean: reader.f64(),
        variance: reader.f64(),
        first: reader.number(),
        last: reader.number(),
      };
    }
    reader.expectEnd();
    return { v: 1, tenant, deviceId, window, final: true, metrics };
  },
};

const historyStore = keyValueStore<string, AggregateRecord>({
  name: STORES.aggregateHistory,
  key: serdes.string,
  value: aggregateSerde,
  cached: false,
});

/** Key of the row that the window with this start is in. */
export function historyKey(deviceKey: string, windowSizeMs: number, windowStart: number): string {
  const index = Math.floor(windowStart / windowSizeMs);
  return `${deviceKey}|${windowSizeMs}|${((index % HISTORY_SLOTS) + HISTORY_SLOTS) % HISTORY_SLOTS}`;
}

export function aggregateHistory(): ProcessorSpec<string, AggregateRecord, Record<string, never>> {
  return { name: "aggregate-history", outputs: [], stores: [historyStore], create: () => new AggregateHistory() };
}

class AggregateHistory implements Processor<string, AggregateRecord, Record<string, never>> {
  #context!: ProcessorContext<Record<string, never>>;
  #history!: KeyValueStore<string, AggregateRecord>;

  init(context: ProcessorContext<Record<string, never>>): void {
    this.#context = context;
    this.#history = context.store(historyStore);
  }

  process({ key, value }: StreamRecord<string, AggregateRecord>): void {
    const { start, end } = value.window;
    const rowKey = historyKey(key, end - start, start);
    // A newer window in the row is at least a whole ring later. Most windows close long before: a look into the store is a read from disk.
    const mayBeOlder = start + HISTORY_SLOTS * (end - start) <= this.#context.streamTime();
    // Yesterday's upload must not push out today's windows.
    if (mayBeOlder && (this.#history.get(rowKey)?.window.start ?? -Infinity) > start) return;
    this.#history.put(rowKey, value);
  }
}
