/** Tumbling windows over one or more definitions: marks late events, aggregates the others, emits each final window once. Source: shared design, section 7. */
import type { StoreSpec } from "../state/store.ts";
import type { Output, Processor, ProcessorContext, ProcessorSpec, StreamRecord } from "../topology/processor.ts";
import { deviceRowStore, type DeviceRows } from "./device-row.ts";
import { DeviceWindows } from "./device-windows.ts";
import { FLAG, type TelemetryEvent } from "./event.ts";
import type { AggregateRecord } from "./formats/records.ts";
import { PartitionWindows } from "./partition-windows.ts";
import type { WindowSettings } from "./settings.ts";
import { windowRowStore, type WindowRows } from "./window-row.ts";
import type { Clocks, WindowSet } from "./window-set.ts";

/** How often windows are closed in a partition whose records all stop before this processor. Receive time, ms. */
const IDLE_CHECK_MS = 1_000;

/** The wall clock is looked at this many times per idleCloseMs. */
const IDLE_CHECKS = 4;

export interface WindowsOptions {
  readonly windows: readonly WindowSettings[];
  /** processing.idleCloseMs; 0: windows close by what is in the log alone. */
  readonly idleCloseMs: number;
}

export type WindowsOutputs = {
  normalized: { key: string; value: TelemetryEvent };
  aggregates: { key: string; value: AggregateRecord };
};

export function windows(options: WindowsOptions): ProcessorSpec<string, TelemetryEvent, WindowsOutputs> {
  const stores = options.windows.map((window) => windowRowStore(window));
  return {
    name: "windows",
    outputs: ["normalized", "aggregates"],
    stores: [...stores, deviceRowStore],
    create: () => new Windows(options, stores),
  };
}

class Windows implements Processor<string, TelemetryEvent, WindowsOutputs> {
  readonly #options: WindowsOptions;
  readonly #stores: readonly StoreSpec<WindowRows>[];
  #context!: ProcessorContext<WindowsOutputs>;
  #normalized!: Output<string, TelemetryEvent>;
  #devices!: DeviceRows;
  #sets: WindowSet[] = [];
  /** Of these, those by device time. */
  readonly #deviceSets: DeviceWindows[] = [];
  /** Reused for each record. */
  readonly #clocks: Clocks = { deviceTime: 0, streamTime: 0, receiveTime: 0 };
  readonly #counters = { dropped: 0, lost: 0 };
  // For the wall-clock bound: what was last seen of the source, and when.
  #seenOffset = -1;
  #seenReceiveTime = -1;
  #activeAt: number | undefined;

  constructor(options: WindowsOptions, stores: readonly StoreSpec<WindowRows>[]) {
    this.#options = options;
    this.#stores = stores;
  }

  init(context: ProcessorContext<WindowsOutputs>): void {
    const { idleCloseMs } = this.#options;
    this.#context = context;
    this.#normalized = context.output("normalized");
    this.#devices = context.store(deviceRowStore);
    const aggregates = context.output("aggregates");
    this.#sets = this.#options.windows.map((window, index) => {
      const rows = context.store(this.#stores[index]);
      if (window.time === "partition") return new PartitionWindows(window, rows, aggregates, this.#counters);
      const set = new DeviceWindows({ settings: window, devices: this.#devices, rows, aggregates, counters: this.#counters });
      this.#deviceSets.push(set);
      return set;
    });
    context.schedule(IDLE_CHECK_MS, "receive-time", () => this.#advanceIdle());
    if (idleCloseMs > 0) context.schedule(Math.ceil(idleCloseMs / IDLE_CHECKS), "wall-clock", (now) => this.#closeIfIdle(now));
  }

  /**
   * Finds the windows of before, for them to be closed in time; records come meanwhile. What is in a window does not depend
   * on when it is found: a record is late by the clocks and its own window's row alone.
   */
  async open(): Promise<void> {
    for (const set of this.#sets) this.#context.inBackground(() => set.index());
    const sets = this.#deviceSets;
    if (sets.length === 0) return;
    this.#context.inBackground(() =>
      this.#devices.scanStored((key, device) => {
        for (const set of sets) set.found(key, device);
      }),
    );
  }

  readAhead(sourceKey: unknown): void {
    if (typeof sourceKey === "string") for (const set of this.#sets) set.readAhead(sourceKey);
  }

  process(record: StreamRecord<string, TelemetryEvent>): void {
    const event = record.value;
    const clocks = this.#readClocks();
    clocks.deviceTime = event.deviceTime;
    const sets = this.#sets;
    for (let i = 0; i < sets.length; i++) sets[i].advance(record, clocks);
    let late = false;
    for (let i = 0; i < sets.length; i++) if (!sets[i].add(record, clocks)) late = true;
    if (late) this.#markLate(record.key, event);
    this.#count();
    this.#normalized.forward(record);
  }

  #count(): void {
    const { dropped, lost } = this.#counters;
    if (dropped === 0 && lost === 0) return;
    if (dropped > 0) this.#context.count("dropped", "window-metrics", dropped);
    if (lost > 0) this.#context.count("lost", "window", lost);
    this.#counters.dropped = this.#counters.lost = 0;
  }

  #markLate(key: string, event: TelemetryEvent): void {
    event.flags |= FLAG.late;
    this.#context.count("dropped", "late");
    const device = this.#devices.get(key);
    if (device?.ledger === undefined) return;
    device.ledger.late++;
    this.#devices.put(key, device);
  }

  /** Deterministic in content: whatever this closes, the next record of any device would have closed first. */
  #advanceIdle(): void {
    const clocks = this.#readClocks();
    for (const set of this.#sets) set.advanceIdle(clocks);
  }

  /** Not deterministic, and therefore off by default: a pause in the traffic closes what is open. */
  #closeIfIdle(now: number): void {
    const { offset } = this.#context.source;
    const receiveTime = this.#context.receiveTime();
    if (this.#activeAt === undefined || offset !== this.#seenOffset || receiveTime !== this.#seenReceiveTime) {
      this.#activeAt = now;
      this.#seenOffset = offset;
      this.#seenReceiveTime = receiveTime;
    } else if (now - this.#activeAt >= this.#options.idleCloseMs) for (const set of this.#sets) set.closeAll(receiveTime);
  }

  #readClocks(): Clocks {
    const clocks = this.#clocks;
    clocks.streamTime = this.#context.streamTime();
    clocks.receiveTime = this.#context.receiveTime();
    return clocks;
  }
}
