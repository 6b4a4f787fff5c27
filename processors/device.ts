/** What the job knows of a device from its key alone, made once per device. */
import { deviceKey, parseDeviceKey } from "./formats/names.ts";
import { compileProfiles, type CompiledProfile, type ProfileMatcher } from "./profile.ts";
import type { ProfileSettings } from "./settings.ts";

/** Above this the table starts anew: bounds memory; an entry takes about 0.5 KiB. Devices. */
const MAX_DEVICES = 50_000;

/** Longest tenant and device id: see deviceKey(). UTF-8 bytes. */
const MAX_ID_BYTES = 256;

export class Device {
  readonly key: string;
  readonly tenant: string;
  readonly deviceId: string;
  readonly profile: CompiledProfile;
  /** The topic that a device of this key publishes on. */
  readonly mqttTopic: string;
  /** The beginning of its normalized records. */
  readonly jsonPrefix: string;
  readonly jsonPrefixBytes: Buffer;

  constructor(tenant: string, deviceId: string, profile: CompiledProfile) {
    this.key = deviceKey(tenant, deviceId);
    this.tenant = tenant;
    this.deviceId = deviceId;
    this.profile = profile;
    this.mqttTopic = `t/${tenant}/d/${deviceId}/telemetry`;
    this.jsonPrefix = `{"v":1,"tenant":${JSON.stringify(tenant)},"deviceId":${JSON.stringify(deviceId)}`;
    this.jsonPrefixBytes = Buffer.from(this.jsonPrefix);
  }
}

export class DeviceTable {
  readonly #profileOf: ProfileMatcher;
  readonly #devices = new Map<string, Device>();

  constructor(profiles: readonly ProfileSettings[]) {
    this.#profileOf = compileProfiles(profiles);
  }

  /** Undefined when the key is not `tenant|deviceId` with ids of at most 256 bytes and without control characters. */
  get(key: string): Device | undefined {
    const known = this.#devices.get(key);
    if (known !== undefined) return known;
    const parsed = parseDeviceKey(key);
    if (parsed === undefined || !isUsableId(parsed.tenant) || !isUsableId(parsed.deviceId)) return undefined;
    const device = new Device(parsed.tenant, parsed.deviceId, this.#profileOf(parsed.tenant, parsed.deviceId));
    if (this.#devices.size >= MAX_DEVICES) this.#devices.clear();
    this.#devices.set(key, device);
    return device;
  }
}

function isUsableId(id: string): boolean {
  if (Buffer.byteLength(id) > MAX_ID_BYTES) return false;
  for (let i = 0; i < id.length; i++) if (id.charCodeAt(i) < 0x20) return false;
  return true;
}
