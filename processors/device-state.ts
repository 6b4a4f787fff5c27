/** The newest of each device: updated at every event, emitted once per commit and changed device. */
import type { Output, Processor, ProcessorContext, ProcessorSpec, StreamRecord } from "../topology/processor.ts";
import { DeviceRow, deviceRowStore, type DeviceRows } from "./device-row.ts";
import { DeviceStateRow } from "./device-state-row.ts";
import type { AttributeValue, TelemetryEvent } from "./event.ts";

/** Metrics and attributes kept of a device; what is above is dropped and counted. */
const MAX_METRICS = 512;
const MAX_ATTRIBUTES = 128;

export type DeviceStateOutputs = { changes: { key: string; value: DeviceStateRow } };

export function deviceState(): ProcessorSpec<string, TelemetryEvent, DeviceStateOutputs> {
  return { name: "device-state", outputs: ["changes"], stores: [deviceRowStore], create: () => new DeviceState() };
}

class DeviceState implements Processor<string, TelemetryEvent, DeviceStateOutputs> {
  #context!: ProcessorContext<DeviceStateOutputs>;
  #changes!: Output<string, DeviceStateRow>;
  #devices!: DeviceRows;
  /** Devices that changed since the last commit: bounded by the records of one commit. */
  #changed: { readonly key: string; readonly row: DeviceStateRow }[] = [];

  init(context: ProcessorContext<DeviceStateOutputs>): void {
    this.#context = context;
    this.#changes = context.output("changes");
    this.#devices = context.store(deviceRowStore);
  }

  process({ key, value: event }: StreamRecord<string, TelemetryEvent>): void {
    const { device } = event;
    if (device === undefined) throw new Error("device-state comes after validate");
    const found = (device.row = this.#devices.at(key, device.row));
    const deviceRow = found.value ?? new DeviceRow(device.tenant, device.deviceId);
    const row = (deviceRow.state ??= new DeviceStateRow(device.tenant, device.deviceId));
    const isNewest = event.ts >= row.ts;
    if (isNewest) {
      row.ts = event.ts;
      row.receivedTs = event.receivedTs;
      row.bootId = event.bootId;
      row.seq = event.seq < 0 ? undefined : event.seq;
    }
    this.#takeMetrics(row, event);
    if (event.attributeNames.length > 0) this.#takeAttributes(row, event, isNewest);
    this.#devices.set(found, deviceRow);
    if (row.isListed) return;
    row.isListed = true;
    this.#changed.push({ key, row });
  }

  flush(): void {
    for (const { key, row } of this.#changed) {
      row.isListed = false;
      this.#changes.forward({ key, value: row, timestamp: Math.max(0, row.ts) });
    }
    this.#changed = [];
  }

  #takeMetrics(row: DeviceStateRow, event: TelemetryEvent): void {
    const { names } = event.metrics;
    const { values, ts } = event;
    if (row.names !== names && !this.#adopt(row, names)) return this.#takeByName(row, event);
    for (let i = 0; i < values.length; i++) row.offer(i, values[i], ts);
  }

  /** A new row takes the event's list of names; an equal list in another array (after a restart, say) is replaced by it. */
  #adopt(row: DeviceStateRow, names: readonly string[]): boolean {
    if (row.names.length === 0) for (let i = 0; i < names.length; i++) row.addMetric(0, -Infinity);
    else if (row.names.length !== names.length || !names.every((name, index) => name === row.names[index])) return false;
    row.names = names;
    return true;
  }

  #takeByName(row: DeviceStateRow, event: TelemetryEvent): void {
    const { names } = event.metrics;
    const { values, ts } = event;
    for (let i = 0; i < values.length; i++) {
      let index = row.names.indexOf(names[i]);
      if (index < 0) {
        if (row.names.length >= MAX_METRICS) {
          this.#context.count("dropped", "state-metrics");
          continue;
        }
        index = row.names.length;
        row.names = [...row.names, names[i]];
        row.addMetric(0, -Infinity);
      }
      row.offer(index, values[i], ts);
    }
  }

  #takeAttributes(row: DeviceStateRow, event: TelemetryEvent, isNewest: boolean): void {
    const attributes = (row.attributes ??= Object.create(null) as Record<string, AttributeValue>);
    for (let i = 0; i < event.attributeNames.length; i++) {
      const name = event.attributeNames[i];
      const isNew = attributes[name] === undefined;
      if (!isNewest && !isNew) continue;
      if (isNew && Object.keys(attributes).length >= MAX_ATTRIBUTES) this.#context.count("dropped", "state-attributes");
      else attributes[name] = event.attributeValues[i];
    }
  }
}
