/**
 * All that the job keeps of a device, but windows that are no longer its latest: one look-up an event, one row and one
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
import { readWindow, writeWindow, type WindowRow } from "./window-row.ts";

/** A window by device time that is open, or closed idle. Of a definition by its size: no two have one size. */
export interface LatestWindow {
  readonly sizeMs: number;
  /** Epoch ms. */
  readonly start: number;
  readonly row: WindowRow;
}

export class DeviceRow {
  readonly tenant: string;
  readonly deviceId: string;
  /** Undefined once the device was idle for dedupe.idleMs. */
  ledger: LedgerRow | undefined = undefined;
  state: DeviceStateRow | undefined = undefined;
  /** At most one per definition, and it is later than those in the definition's own store. */
  readonly latest: LatestWindow[] = [];

  constructor(tenant: string, deviceId: string) {
    this.tenant = tenant;
    this.deviceId = deviceId;
  }

  latestOf(sizeMs: number): LatestWindow | undefined {
    const { latest } = this;
    for (let i = 0; i < latest.length; i++) if (latest[i].sizeMs === sizeMs) return latest[i];
    return undefined;
  }

  setLatest(window: LatestWindow): void {
    const { latest } = this;
    for (let i = 0; i < latest.length; i++) {
      if (latest[i].sizeMs !== window.sizeMs) continue;
      latest[i] = window;
      return;
    }
    latest.push(window);
  }

  removeLatest(sizeMs: number): void {
    const index = this.latest.findIndex((window) => window.sizeMs === sizeMs);
    if (index >= 0) this.latest.splice(index, 1);
  }
}

/** Version 1 was the ledger alone. */
const VERSION = 2;
const HAS_LEDGER = 1;
const HAS_STATE = 2;
/** The window's metrics are those of the state, in its order. */
const SHARES_NAMES = 1;
const reader = new ByteReader();

const deviceRowSerde: Serde<DeviceRow> = {
  name: "device-row",
  write(row, out) {
    const { ledger, state, latest } = row;
    out.u8(VERSION);
    out.string(row.tenant);
    out.string(row.deviceId);
    out.u8((ledger === undefined ? 0 : HAS_LEDGER) | (state === undefined ? 0 : HAS_STATE));
    if (ledger !== undefined) writeLedger(ledger, out);
    if (state !== undefined) writeDeviceState(state, out);
    out.varint(latest.length);
    for (let i = 0; i < latest.length; i++) {
      const { sizeMs, start, row: window } = latest[i];
      const sharesNames = state !== undefined && window.names === state.names;
      out.varint(sizeMs);
      out.svarint(start);
      out.u8(sharesNames ? SHARES_NAMES : 0);
      writeWindow(window, out, !sharesNames);
    }
  },
  read(bytes, start, end) {
    reader.reset(bytes, start, end);
    const version = reader.u8();
    checkRowVersion(version, VERSION, "device row");
    const tenant = reader.string();
    const deviceId = reader.string();
    const row = new DeviceRow(tenant, deviceId);
    const has = version === 1 ? HAS_LEDGER : reader.u8();
    if ((has & HAS_LEDGER) !== 0) row.ledger = readLedger(reader, tenant, deviceId);
    if ((has & HAS_STATE) !== 0) row.state = readDeviceState(reader, tenant, deviceId);
    if (version > 1)
      for (let count = reader.varint(); count > 0; count--) {
        const sizeMs = reader.varint();
        const windowStart = reader.svarint();
        const names = (reader.u8() & SHARES_NAMES) === 0 ? undefined : row.state?.names;
        row.latest.push({ sizeMs, start: windowStart, row: readWindow(reader, names) });
      }
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
