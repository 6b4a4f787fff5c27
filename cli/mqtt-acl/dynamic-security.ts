/**
 * The configuration of Mosquitto's dynamic-security plugin: everything is denied but what a client's role allows. It knows no
 * `%u` in 2.0, so each device has a role of its own. Format: mosquitto.org, man page of mosquitto_ctrl dynsec.
 */
import { pbkdf2Sync, randomBytes } from "node:crypto";
import { DEVICE_PUBLISHES, DEVICE_READS, SERVICE_PUBLISHES, SERVICE_READS, identityOf } from "../../bridge/device-access.ts";
import type { GatewayAccess } from "../../bridge/gateway-access.ts";
import type { ListedDevice } from "./device-list.ts";

/** As Mosquitto makes them itself (PBKDF2, SHA-512). */
const SALT_BYTES = 12;
const HASH_BYTES = 64;
const ITERATIONS = 101;

interface Acl {
  readonly acltype: "publishClientSend" | "publishClientReceive" | "subscribePattern" | "subscribeLiteral";
  readonly topic: string;
  readonly priority: 0;
  readonly allow: true;
}

/** A gateway and its password. */
export interface ListedGateway {
  readonly access: GatewayAccess;
  readonly password: string | undefined;
}

/** @param service user and password of Sluice itself; without a password a client can only come with its certificate */
export function dynamicSecurity(
  service: { username: string; password?: string },
  devices: readonly ListedDevice[],
  gateways: readonly ListedGateway[],
): object {
  const clients = [client(service.username, service.password, "sluice")];
  const roles = [
    {
      rolename: "sluice",
      acls: [
        ...SERVICE_READS.flatMap((filter) => [acl("subscribePattern", filter), acl("publishClientReceive", filter)]),
        ...SERVICE_PUBLISHES.map((filter) => acl("publishClientSend", filter)),
      ],
    },
  ];
  for (const device of devices) {
    const name = identityOf(device);
    clients.push(client(name, device.password, name));
    roles.push({
      rolename: name,
      acls: [
        ...DEVICE_PUBLISHES.map((door) => acl("publishClientSend", `t/${name}/${door}`)),
        ...DEVICE_READS.flatMap((door) => [acl("subscribeLiteral", `t/${name}/${door}`), acl("publishClientReceive", `t/${name}/${door}`)]),
      ],
    });
  }
  for (const { access, password } of gateways) {
    const rolename = `gateway-${access.user}`;
    clients.push(client(access.user, password, rolename));
    roles.push({
      rolename,
      acls: [
        ...access.publishes.map((filter) => acl("publishClientSend", filter)),
        ...access.reads.flatMap((filter) => [acl("subscribePattern", filter), acl("publishClientReceive", filter)]),
      ],
    });
  }
  return {
    defaultACLAccess: { publishClientSend: false, publishClientReceive: false, subscribe: false, unsubscribe: true },
    clients,
    groups: [],
    roles,
  };
}

function acl(acltype: Acl["acltype"], topic: string): Acl {
  return { acltype, topic, priority: 0, allow: true };
}

function client(username: string, password: string | undefined, rolename: string): object {
  return { username, ...(password === undefined ? {} : hashed(password)), roles: [{ rolename }] };
}

function hashed(password: string): object {
  const salt = randomBytes(SALT_BYTES);
  const hash = pbkdf2Sync(password, salt, ITERATIONS, HASH_BYTES, "sha512");
  return { password: hash.toString("base64"), salt: salt.toString("base64"), iterations: ITERATIONS };
}
