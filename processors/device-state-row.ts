/** The row of the `device-state` store: the record that is emitted, in binary. */
import { readAttributes, writeAttributes } from "./attributes.ts";
import { ByteReader } from "../state/byte-reader.ts";
import type { Serde } from "../state/serde.ts";
import { serdes } from "../state/serdes.ts";
import { keyValueStore } from "../state/store.ts";
import type { AttributeValue } from "./event.ts";
import { STORES, type DeviceStateRecord } from "./formats/records.ts";

/** DeviceStateRecord with the right to change it. The two records have no prototype: metric names come from devices. */
export interface DeviceStateRow extends DeviceStateRecord {
  bootId?: string;
  seq?: number;
  ts: number;
  receivedTs: number;
  readonly metrics: Record<string, { value: number; ts: number }>;
  readonly attributes: Record<string, AttributeValue>;
}

export function newDeviceStateRow(tenant: string, deviceId: string): DeviceStateRow {
  const metrics = Object.create(null) as DeviceStateRow["metrics"];
  const attributes = Object.create(null) as DeviceStateRow["attributes"];
  return { v: 1, tenant, deviceId, bootId: undefined, seq: undefined, ts: -Infinity, receivedTs: 0, metrics, attributes };
}

const VERSION = 1;
const HAS_BOOT = 1;
const HAS_SEQ = 2;
const reader = new ByteReader();

const deviceStateSerde: Serde<DeviceStateRow> = {
  name: "device-state-row",
  write(row, out) {
    out.u8(VERSION);
    out.u8((row.bootId === undefined ? 0 : HAS_BOOT) | (row.seq === undefined ? 0 : HAS_SEQ));
    out.string(row.tenant);
    out.string(row.deviceId);
    if (row.bootId !== undefined) out.string(row.bootId);
    if (row.seq !== undefined) out.varint(row.seq);
    out.svarint(row.ts);
    out.svarint(row.receivedTs);
    let count = 0;
    for (const _name in row.metrics) count++;
    out.varint(count);
    for (const name in row.metrics) {
      const metric = row.metrics[name];
      out.string(name);
      out.f64(metric.value);
      out.svarint(metric.ts - row.ts);
    }
    writeAttributes(row.attributes, out);
  },
  read(bytes, start, end) {
    reader.reset(bytes, start, end);
    const version = reader.u8();
    if (version !== VERSION) throw new RangeError(`device-state row of version ${version}: written by a newer Sluice`);
    const flags = reader.u8();
    const tenant = reader.string();
    const row = newDeviceStateRow(tenant, reader.string());
    if ((flags & HAS_BOOT) !== 0) row.bootId = reader.string();
    if ((flags & HAS_SEQ) !== 0) row.seq = reader.varint();
    row.ts = reader.svarint();
    row.receivedTs = reader.svarint();
    for (let count = reader.varint(); count > 0; count--) {
      const name = reader.string();
      const value = reader.f64();
      row.metrics[name] = { value, ts: row.ts + reader.svarint() };
    }
    readAttributes(reader, row.attributes);
    reader.expectEnd();
    return row;
  },
};

export const deviceStateStore = keyValueStore<string, DeviceStateRow>({
  name: STORES.deviceState,
  key: serdes.string,
  value: deviceStateSerde,
});
