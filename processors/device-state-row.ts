/** The newest of a device, a part of its row (device-row.ts): the record that is emitted, in binary. */
import { readAttributes, writeAttributes } from "./attributes.ts";
import type { ByteReader } from "../state/byte-reader.ts";
import type { ByteWriter } from "../state/byte-writer.ts";
import type { AttributeValue } from "./event.ts";
import type { DeviceStateRecord } from "./formats/records.ts";

/** Places in DeviceStateRow.numbers. */
const TS = 0;
const RECEIVED_TS = 1;
const FIRST_METRIC = 2;

/** Few objects, and numbers in one array: at many devices, what an event costs here is the memory it touches. */
export class DeviceStateRow {
  /** ts, receivedTs, and of each metric its newest value and that value's event time. */
  readonly #numbers: number[] = [-Infinity, 0.5];
  /** Shared between rows: replaced, never changed. */
  names: readonly string[] = [];
  bootId: string | undefined = undefined;
  seq: number | undefined = undefined;
  /** Waits to be emitted at the next commit. Not stored. */
  isListed = false;
  readonly tenant: string;
  readonly deviceId: string;
  /** Without a prototype: names come from devices. Undefined for none. */
  attributes: Record<string, AttributeValue> | undefined = undefined;

  constructor(tenant: string, deviceId: string) {
    this.tenant = tenant;
    this.deviceId = deviceId;
    this.#numbers[RECEIVED_TS] = 0;
  }

  /** For topologies that read the device-state topic. */
  static of(record: DeviceStateRecord): DeviceStateRow {
    const row = new DeviceStateRow(record.tenant, record.deviceId);
    row.bootId = record.bootId;
    row.seq = record.seq;
    row.ts = record.ts;
    row.receivedTs = record.receivedTs;
    row.names = Object.keys(record.metrics);
    for (const metric of Object.values(record.metrics)) row.addMetric(metric.value, metric.ts);
    if (Object.keys(record.attributes).length > 0)
      row.attributes = Object.assign(Object.create(null), record.attributes) as Record<string, AttributeValue>;
    return row;
  }

  /** Greatest event time; -Infinity before the first. Epoch ms. */
  get ts(): number {
    return this.#numbers[TS];
  }

  set ts(ts: number) {
    this.#numbers[TS] = ts;
  }

  get receivedTs(): number {
    return this.#numbers[RECEIVED_TS];
  }

  set receivedTs(receivedTs: number) {
    this.#numbers[RECEIVED_TS] = receivedTs;
  }

  /** Newest value of the metric names[index]. */
  value(index: number): number {
    return this.#numbers[FIRST_METRIC + 2 * index];
  }

  /** Event time of that value; -Infinity before the first. Epoch ms. */
  valueTs(index: number): number {
    return this.#numbers[FIRST_METRIC + 1 + 2 * index];
  }

  /** Takes the value unless a newer one is there. */
  offer(index: number, value: number, ts: number): void {
    const numbers = this.#numbers;
    const at = FIRST_METRIC + 2 * index;
    if (!(ts >= numbers[at + 1])) return;
    numbers[at] = value;
    numbers[at + 1] = ts;
  }

  /** Room for the next of `names`. */
  addMetric(value: number, ts: number): void {
    this.#numbers.push(value, ts);
  }

  record(): DeviceStateRecord {
    const metrics = Object.create(null) as Record<string, { value: number; ts: number }>;
    this.names.forEach((name, index) => (metrics[name] = { value: this.value(index), ts: this.valueTs(index) }));
    const { tenant, deviceId, bootId, seq, ts, receivedTs } = this;
    return { v: 1, tenant, deviceId, bootId, seq, ts, receivedTs, metrics, attributes: this.attributes ?? {} };
  }
}

const NO_ATTRIBUTES: Record<string, AttributeValue> = {};
const HAS_BOOT = 1;
const HAS_SEQ = 2;

/** Without tenant and device. */
export function writeDeviceState(row: DeviceStateRow, out: ByteWriter): void {
  out.u8((row.bootId === undefined ? 0 : HAS_BOOT) | (row.seq === undefined ? 0 : HAS_SEQ));
  if (row.bootId !== undefined) out.string(row.bootId);
  if (row.seq !== undefined) out.varint(row.seq);
  out.time(row.ts);
  out.time(row.receivedTs);
  out.varint(row.names.length);
  for (let i = 0; i < row.names.length; i++) {
    out.string(row.names[i]);
    out.number(row.value(i));
    out.svarint(row.valueTs(i) - row.ts);
  }
  writeAttributes(row.attributes ?? NO_ATTRIBUTES, out);
}

export function readDeviceState(reader: ByteReader, tenant: string, deviceId: string): DeviceStateRow {
  const flags = reader.u8();
  const row = new DeviceStateRow(tenant, deviceId);
  if ((flags & HAS_BOOT) !== 0) row.bootId = reader.string();
  if ((flags & HAS_SEQ) !== 0) row.seq = reader.varint();
  row.ts = reader.time();
  row.receivedTs = reader.time();
  const names: string[] = [];
  for (let count = reader.varint(); count > 0; count--) {
    names.push(reader.string());
    const value = reader.number();
    row.addMetric(value, row.ts + reader.svarint());
  }
  row.names = names;
  const attributes = Object.create(null) as Record<string, AttributeValue>;
  readAttributes(reader, attributes);
  if (Object.keys(attributes).length > 0) row.attributes = attributes;
  return row;
}
