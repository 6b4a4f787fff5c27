/** The newest of each device: updated at every event, emitted once per commit and changed device. */
import type { KeyValueStore } from "../state/store.ts";
import type { Output, Processor, ProcessorContext, ProcessorSpec, StreamRecord } from "../topology/processor.ts";
import { deviceStateStore, newDeviceStateRow, type DeviceStateRow } from "./device-state-row.ts";
import type { TelemetryEvent } from "./event.ts";
import type { DeviceStateRecord } from "./formats/records.ts";

/** Metrics and attributes kept of a device; what is above is dropped and counted. */
const MAX_METRICS = 512;
const MAX_ATTRIBUTES = 128;

export type DeviceStateOutputs = { changes: { key: string; value: DeviceStateRecord } };

export function deviceState(): ProcessorSpec<string, TelemetryEvent, DeviceStateOutputs> {
  return { name: "device-state", outputs: ["changes"], stores: [deviceStateStore], create: () => new DeviceState() };
}

class DeviceState implements Processor<string, TelemetryEvent, DeviceStateOutputs> {
  #context!: ProcessorContext<DeviceStateOutputs>;
  #changes!: Output<string, DeviceStateRecord>;
  #states!: KeyValueStore<string, DeviceStateRow>;
  /** Devices that changed since the last commit: bounded by the records of one commit. */
  readonly #changed = new Map<string, DeviceStateRow>();

  init(context: ProcessorContext<DeviceStateOutputs>): void {
    this.#context = context;
    this.#changes = context.output("changes");
    this.#states = context.store(deviceStateStore);
  }

  async open(): Promise<void> {
    this.#changed.clear();
  }

  process({ key, value: event }: StreamRecord<string, TelemetryEvent>): void {
    const { device } = event;
    if (device === undefined) throw new Error("device-state comes after validate");
    const row = this.#states.get(key) ?? newDeviceStateRow(device.tenant, device.deviceId);
    const isNewest = event.ts >= row.ts;
    if (isNewest) {
      row.ts = event.ts;
      row.receivedTs = event.receivedTs;
      row.bootId = event.bootId;
      row.seq = event.seq < 0 ? undefined : event.seq;
    }
    this.#takeMetrics(row, event);
    if (event.attributeNames.length > 0) this.#takeAttributes(row, event, isNewest);
    this.#states.put(key, row);
    this.#changed.set(key, row);
  }

  flush(): void {
    for (const [key, row] of this.#changed) this.#changes.forward({ key, value: row, timestamp: Math.max(0, row.ts) });
    this.#changed.clear();
  }

  #takeMetrics(row: DeviceStateRow, event: TelemetryEvent): void {
    const { metrics } = row;
    const { names } = event.metrics;
    const { values, ts } = event;
    for (let i = 0; i < values.length; i++) {
      const metric = metrics[names[i]];
      if (metric === undefined) {
        if (Object.keys(metrics).length < MAX_METRICS) metrics[names[i]] = { value: values[i], ts };
        else this.#context.count("dropped", "state-metrics");
      } else if (ts >= metric.ts) {
        metric.value = values[i];
        metric.ts = ts;
      }
    }
  }

  #takeAttributes(row: DeviceStateRow, event: TelemetryEvent, isNewest: boolean): void {
    const { attributes } = row;
    for (let i = 0; i < event.attributeNames.length; i++) {
      const name = event.attributeNames[i];
      const isNew = attributes[name] === undefined;
      if (!isNewest && !isNew) continue;
      if (isNew && Object.keys(attributes).length >= MAX_ATTRIBUTES) this.#context.count("dropped", "state-attributes");
      else attributes[name] = event.attributeValues[i];
    }
  }
}
