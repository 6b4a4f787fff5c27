/**
 * All that the job keeps of a device, but the rows of windows that are no longer its latest: one look-up an event, one row and one
 * changelog record a commit. In a fleet larger than the cache an event costs what its rows cost.
 */
import { ByteReader } from "../state/byte-reader.ts";
import { checkRowVersion } from "../state/row-format.ts";
import type { Serde } from "../state/serde.ts";
import { serdes } from "../state/serdes.ts";
import { keyValueStore, type KeyValueStore } from "../state/store.ts";
import { readDeviceState, writeDeviceState, type DeviceStateRow } from "./device-state-row.ts";
import { STORES } from "./formats/records.ts";
import { readLedger, writeLedger, type LedgerRow } from "./ledger.ts";
import { readOpenWindows, writeOpenWindows, type OpenWindows } from "./open-windows.ts";

export class DeviceRow {
  readonly tenant: string;
  readonly deviceId: string;
  /** Undefined once the device was idle for dedupe.idleMs. */
  ledger: LedgerRow | undefined = undefined;
  state: DeviceStateRow | undefined = undefined;
  /** By definition, in the order in which they first had one. */
  windows: readonly OpenWindows[] = [];

  constructor(tenant: string, deviceId: string) {
    this.tenant = tenant;
    this.deviceId = deviceId;
  }

  windowsOf(sizeMs: number): OpenWindows | undefined {
    const { windows } = this;
    for (let i = 0; i < windows.length; i++) if (windows[i].sizeMs === sizeMs) return windows[i];
    return undefined;
  }

  addWindows(added: OpenWindows): OpenWindows {
    this.windows = [...this.windows, added]; // an array without room to spare, as for most of what a device has
    return added;
  }

  /** The device was idle for dedupe.idleMs: its sequence numbers and its times begin anew. What was newest stays. */
  expire(): void {
    this.ledger = undefined;
    for (const windows of this.windows) windows.forgetStubs();
  }

  get isEmpty(): boolean {
    return (
      this.ledger === undefined &&
      this.state === undefined &&
      this.windows.every(({ latest, count }) => latest === undefined && count === 0)
    );
  }
}

/** Version 1 was the ledger alone; in version 2 the rows of windows had no slots; version 3 had times and numbers in full. */
const VERSION = 4;
const FIRST_WITH_SLOTS = 3;
const FIRST_SHORT = 4;
const HAS_LEDGER = 1;
const HAS_STATE = 2;
const reader = new ByteReader();

const deviceRowSerde: Serde<DeviceRow> = {
  name: "device-row",
  write(row, out) {
    const { ledger, state, windows } = row;
    out.u8(VERSION);
    out.startTimes();
    out.string(row.tenant);
    out.string(row.deviceId);
    out.u8((ledger === undefined ? 0 : HAS_LEDGER) | (state === undefined ? 0 : HAS_STATE));
    if (ledger !== undefined) writeLedger(ledger, out);
    if (state !== undefined) writeDeviceState(state, out);
    out.varint(windows.length);
    for (let i = 0; i < windows.length; i++) writeOpenWindows(windows[i], state?.names, out);
  },
  read(bytes, start, end) {
    reader.reset(bytes, start, end);
    const version = reader.u8();
    checkRowVersion(version, VERSION, "device row");
    reader.inFull = version < FIRST_SHORT;
    const tenant = reader.string();
    const deviceId = reader.string();
    const row = new DeviceRow(tenant, deviceId);
    const has = version === 1 ? HAS_LEDGER : reader.u8();
    if ((has & HAS_LEDGER) !== 0) row.ledger = readLedger(reader, tenant, deviceId);
    if ((has & HAS_STATE) !== 0) row.state = readDeviceState(reader, tenant, deviceId);
    if (version > 1)
      for (let count = reader.varint(); count > 0; count--)
        row.addWindows(readOpenWindows(reader, row.state?.names, version >= FIRST_WITH_SLOTS));
    reader.expectEnd();
    return row;
  },
};

export type DeviceRows = KeyValueStore<string, DeviceRow>;

/** Key `tenant|deviceId`. Named after what was in it first. */
export const deviceRowStore = keyValueStore<string, DeviceRow>({
  name: STORES.ledger,
  key: serdes.string,
  value: deviceRowSerde,
  views: { [STORES.ledger]: (row) => row.ledger, [STORES.deviceState]: (row) => row.state },
});
