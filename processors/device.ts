/** What the job knows of a device from its key alone, made once per device. */
import { deviceKey, parseDeviceKey } from "./formats/names.ts";
import type { RowHandle } from "../state/store.ts";
import type { DeviceRow } from "./device-row.ts";
import type { BootRow } from "./ledger.ts";
import type { OpenWindows } from "./open-windows.ts";
import type { WindowRow } from "./window-row.ts";
import { compileProfiles, type CompiledProfile, type ProfileMatcher } from "./profile.ts";
import type { ProfileSettings } from "./settings.ts";

/** Above this the table starts anew: bounds memory; an entry takes about 0.5 KiB. Devices. */
const MAX_DEVICES = 50_000;

/** Longest tenant and device id: see deviceKey(). UTF-8 bytes. */
const MAX_ID_BYTES = 256;

export class Device {
  /** Where this device's row was last seen: saves each processor the look-up. */
  row: RowHandle<DeviceRow> | undefined = undefined;
  /** Of its last event that had one: the next one's is most likely the same string. */
  bootId: string | undefined = undefined;
  readonly key: string;
  readonly tenant: string;
  readonly deviceId: string;
  readonly profile: CompiledProfile;
  /** The topic that a device of this key publishes on. */
  readonly mqttTopic: string;
  #head: Uint8Array | undefined = undefined;
  #headBootId: string | undefined = undefined;

  constructor(tenant: string, deviceId: string, profile: CompiledProfile) {
    this.key = deviceKey(tenant, deviceId);
    this.tenant = tenant;
    this.deviceId = deviceId;
    this.profile = profile;
    this.mqttTopic = `t/${tenant}/d/${deviceId}/telemetry`;
  }

  /** The beginning of its normalized records as JSON, up to the boot id: most often the same as last time. */
  headOf(bootId: string | undefined): Uint8Array {
    if (this.#head !== undefined && this.#headBootId === bootId) return this.#head;
    const { tenant, deviceId } = this;
    this.#headBootId = bootId;
    return (this.#head = Buffer.from(JSON.stringify({ v: 1, tenant, deviceId, bootId }).slice(0, -1)));
  }
}

export class DeviceTable {
  readonly #profileOf: ProfileMatcher;
  readonly #devices = new Map<string, Device>();
  /** Of touch(), by level. */
  readonly #ahead = {
    devices: [] as (Device | undefined)[],
    rows: [] as (RowHandle<DeviceRow> | undefined)[],
    values: [] as (DeviceRow | undefined)[],
    ledgers: [] as (DeviceRow["ledger"] | undefined)[],
    boots: [] as (BootRow | undefined)[],
    states: [] as (DeviceRow["state"] | undefined)[],
    windows: [] as (OpenWindows | undefined)[],
    latest: [] as (WindowRow | undefined)[],
  };
  /** The keys of the last touch(), whose devices are in #ahead; get() has seen those before #next. */
  #keys: readonly unknown[] = [];
  #count = 0;
  #next = 0;
  /** Where touch() puts what it read, so that the reads are not optimized away. */
  touched = 0;

  constructor(profiles: readonly ProfileSettings[]) {
    this.#profileOf = compileProfiles(profiles);
  }

  /**
   * Reads a number of each part of the rows that events of these devices are going to need. A level at a time: what one object says of
   * where the next one is takes a wait for memory, and in a short loop over many devices the waits overlap.
   */
  touch(keys: readonly unknown[], count: number): void {
    const { devices, rows, values, ledgers, boots, states, windows, latest } = this.#ahead;
    let sum = 0;
    this.#keys = keys;
    this.#count = count;
    this.#next = 0;
    for (let i = 0; i < count; i++) devices[i] = this.#devices.get(keys[i] as string);
    for (let i = 0; i < count; i++) rows[i] = devices[i]?.row;
    for (let i = 0; i < count; i++) values[i] = rows[i]?.value;
    for (let i = 0; i < count; i++) {
      const value = values[i];
      ledgers[i] = value?.ledger;
      states[i] = value?.state;
      windows[i] = value?.windows[0];
    }
    for (let i = 0; i < count; i++) {
      boots[i] = ledgers[i]?.current;
      latest[i] = windows[i]?.latest;
    }
    for (let i = 0; i < count; i++) {
      const ledger = ledgers[i];
      const boot = boots[i];
      const state = states[i];
      const row = latest[i];
      if (ledger !== undefined) sum += ledger.lastTs;
      if (boot !== undefined) sum += boot.max;
      if (state !== undefined) sum += state.ts;
      if (row !== undefined) sum += row.touch();
    }
    this.touched = sum;
  }

  /** Undefined when the key is not `tenant|deviceId` with ids of at most 256 bytes and without control characters. */
  get(key: string): Device | undefined {
    const known = this.#ofLastTouch(key) ?? this.#devices.get(key);
    if (known !== undefined) return known;
    const parsed = parseDeviceKey(key);
    if (parsed === undefined || !isUsableId(parsed.tenant) || !isUsableId(parsed.deviceId)) return undefined;
    const { tenant, deviceId } = parsed;
    if (this.#devices.size >= MAX_DEVICES) this.#devices.clear();
    const device = new Device(tenant, deviceId, this.#profileOf(tenant, deviceId));
    this.#devices.set(key, device);
    return device;
  }

  /** Looked up already, in most cases; in the order of their records, some of which do not come this far. */
  #ofLastTouch(key: string): Device | undefined {
    for (let i = this.#next; i < this.#count; i++) {
      if (this.#keys[i] !== key) continue;
      this.#next = i + 1;
      return this.#ahead.devices[i];
    }
    return undefined;
  }
}

function isUsableId(id: string): boolean {
  if (Buffer.byteLength(id) > MAX_ID_BYTES) return false;
  for (let i = 0; i < id.length; i++) if (id.charCodeAt(i) < 0x20) return false;
  return true;
}
