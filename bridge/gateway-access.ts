/**
 * What a gateway (`sluice gateway` with an MQTT uplink) may do at the broker: for the devices that the configuration names as its own,
 * what these might do themselves, and tell on its topic what it had to give up. Nothing binds a gateway to devices but that list: its
 * messages come in its name, whoever sent them to it. Used by the ACL generators and by the authorization webhook alike.
 */
import { parseDeviceKey } from "../processors/formats/names.ts";
import { DEVICE_PUBLISHES, DEVICE_READS, deviceMay, identityOf, parseIdentity, type BrokerAction } from "./device-access.ts";

/** Key names as in the configuration's `mqtt.gateways`. */
export interface GatewaySettings {
  /** Its user name at the broker, or the CN of its certificate. */
  readonly user: string;
  /** Its `gateway.id`. Default: `user`. */
  readonly id?: string;
  /** `tenant|deviceId` each. */
  readonly devices: readonly string[];
  /** Tenants all of whose devices may be behind it. */
  readonly tenants: readonly string[];
}

/** What is wrong with a list of devices' keys, or of tenants; undefined for nothing. */
export function gatewayProblem({ devices, tenants }: Pick<GatewaySettings, "devices" | "tenants">): string | undefined {
  if (devices.length + tenants.length === 0) return "names no devices and no tenants";
  const device = devices.find((key) => nameOf(key) === undefined);
  if (device !== undefined) return `${JSON.stringify(device)} is not "tenant|deviceId"`;
  const tenant = tenants.find((name) => parseIdentity(identityOf({ tenant: name, deviceId: "any" })) === undefined);
  return tenant === undefined ? undefined : `${JSON.stringify(tenant)} cannot be a tenant`;
}

/** Where a gateway tells what it gave up (bridge/edge/gap.ts). */
export function gapTopic(gatewayId: string): string {
  return `sluice/gateways/${gatewayId}/gap`;
}

export class GatewayAccess {
  readonly user: string;
  readonly #gap: string;
  readonly #devices: ReadonlySet<string>;
  readonly #tenants: ReadonlySet<string>;

  /** Of settings that gatewayProblem() has nothing against. */
  constructor({ user, id = user, devices, tenants }: GatewaySettings) {
    this.user = user;
    this.#gap = gapTopic(id);
    this.#devices = new Set(devices);
    this.#tenants = new Set(tenants);
  }

  /** Topics of devices, and filters of tenants. */
  get publishes(): string[] {
    return [...this.#under(DEVICE_PUBLISHES), this.#gap];
  }

  get reads(): string[] {
    return this.#under(DEVICE_READS);
  }

  /** By topic only, never by a filter with a wildcard: a gateway subscribes for one device at a time. */
  may(action: BrokerAction, topic: string, isDenied: (deviceKey: string) => boolean): boolean {
    if (topic === this.#gap) return action === "publish";
    const [prefix, ...levels] = topic.split("/", 4);
    const name = levels.join("/");
    const device = parseIdentity(name);
    if (prefix !== "t" || device === undefined) return false;
    const key = `${device.tenant}|${device.deviceId}`;
    return (this.#tenants.has(device.tenant) || this.#devices.has(key)) && !isDenied(key) && deviceMay(name, action, topic);
  }

  #under(doors: readonly string[]): string[] {
    const names = [...[...this.#devices].flatMap((key) => nameOf(key) ?? []), ...[...this.#tenants].map((tenant) => `${tenant}/d/+`)];
    return names.flatMap((name) => doors.map((door) => `t/${name}/${door}`));
  }
}

function nameOf(deviceKey: string): string | undefined {
  const device = parseDeviceKey(deviceKey);
  const name = device && identityOf(device);
  return name !== undefined && parseIdentity(name) !== undefined ? name : undefined;
}
