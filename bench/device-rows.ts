/**
 * The changelog rows of a fleet in mid-run: of each device its own row (ledger, newest values, the window it is in), and a
 * window that closes as the device enters its next. Devices are a second of each other in phase, so a tenth of the events
 * begin a window and close another. In key order, store by store.
 */
import { ByteWriter } from "../state/byte-writer.ts";
import { ROW_FORMAT_VERSION } from "../state/row-format.ts";
import type { StoreSpec } from "../state/store.ts";
import { DeviceRow, deviceRowStore } from "../processors/device-row.ts";
import { OpenWindows } from "../processors/open-windows.ts";
import { DeviceStateRow } from "../processors/device-state-row.ts";
import { deviceKey } from "../processors/formats/names.ts";
import { BootRow, LedgerRow } from "../processors/ledger.ts";
import type { WindowSettings } from "../processors/settings.ts";
import { WindowRow, windowRowStore } from "../processors/window-row.ts";

export const TENANT = "demo";
/** Of each device, before the first measured event. */
export const SAMPLES_BEFORE = 60;
/** Wide enough for 9,999,999: the order of numbers is the order of keys. */
const NUMBER_WIDTH = 7;
const SAMPLE_MS = 1_000;
const PHASES = 10;
const METRICS = ["temperature_c", "rotation_rpm"];

export interface FleetClock {
  /** Event time of sample 0 of a device in phase 0; a whole multiple of the window size. Epoch ms. */
  readonly baseMs: number;
}

export function deviceId(device: number): string {
  return `device-${String(device).padStart(NUMBER_WIDTH, "0")}`;
}

/** Event time of a device's sample. */
export function sampleTs(clock: FleetClock, device: number, seq: number): number {
  return clock.baseMs + seq * SAMPLE_MS + (device % PHASES) * SAMPLE_MS;
}

/** Gets `[key][value]` in a buffer that is used again. */
export type EmitRow = (store: StoreSpec<unknown>, bytes: Buffer, keyEnd: number, end: number) => void;

export function* fleetRows(devices: number, window: WindowSettings, clock: FleetClock, emit: EmitRow): Generator<number> {
  const out = new ByteWriter();
  const windows = windowRowStore(window) as StoreSpec<unknown>;
  const put = (store: StoreSpec<unknown>, key: string, slot: number, value: unknown): void => {
    out.reset();
    store.key.write(key, out);
    if (slot >= 0) out.u64(slot);
    const keyEnd = out.position;
    out.u8(ROW_FORMAT_VERSION);
    store.value.write(value, out);
    emit(store, out.buffer, keyEnd, out.position);
  };
  const lastSeq = SAMPLES_BEFORE - 1;
  for (const kind of ["devices", "windows"] as const) {
    for (let device = 0; device < devices; device++) {
      const key = deviceKey(TENANT, deviceId(device));
      const ts = sampleTs(clock, device, lastSeq);
      const start = ts - (ts % window.sizeMs);
      if (kind === "windows") put(windows, key, 0, windowRow(start - window.graceMs, window.sizeMs / SAMPLE_MS, ts));
      else {
        const row = new DeviceRow(TENANT, deviceId(device));
        row.ledger = ledger(device, clock, ts);
        row.state = state(device, ts);
        const windows = row.addWindows(new OpenWindows(window.sizeMs));
        windows.dueAt = ts + window.idleMs;
        windows.setLatest(start, windowRow(start, (ts - start) / SAMPLE_MS + 1, ts));
        windows.insert(start - window.graceMs, ts, 0);
        put(deviceRowStore, key, -1, row);
      }
      if (device % 1_000 === 999) yield device + 1;
    }
  }
}

function ledger(device: number, clock: FleetClock, ts: number): LedgerRow {
  const row = new LedgerRow(TENANT, deviceId(device), sampleTs(clock, device, 0));
  row.lastTs = ts;
  row.lastReceiveTs = ts;
  row.received = SAMPLES_BEFORE;
  const boot = new BootRow("b1", false);
  boot.firstTs = row.firstTs;
  boot.lastTs = ts;
  boot.lastReceiveTs = ts;
  boot.lastOffset = 1_000 + device;
  boot.appendRun(0, SAMPLES_BEFORE - 1);
  row.boots.push(boot);
  return row;
}

function state(device: number, ts: number): DeviceStateRow {
  const row = new DeviceStateRow(TENANT, deviceId(device));
  row.ts = ts;
  row.receivedTs = ts;
  row.bootId = "b1";
  row.seq = SAMPLES_BEFORE - 1;
  row.names = METRICS;
  row.addMetric(21.37, ts);
  row.addMetric(1_203, ts);
  return row;
}

function windowRow(start: number, samples: number, receiveTs: number): WindowRow {
  const row = new WindowRow(METRICS, receiveTs);
  for (let i = 0; i < samples; i++) row.add(METRICS, [21.37 + i / 100, 1_203 + i], start + i * SAMPLE_MS);
  return row;
}
