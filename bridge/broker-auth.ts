/**
 * Answers a broker that asks whether a client may use a topic: mosquitto-go-auth (`acc` 1 read, 2 write, 3 both, 4 subscribe) and
 * EMQX (`action` publish or subscribe). Whatever is not clearly allowed is denied.
 *
 * Who asks: the CN of its certificate where the broker says it, else its user name. EMQX fills `cert_common_name` from the certificate and
 * leaves it empty without one (docs.emqx.com, access-control/authz/authz.html, "Authorization Placeholders"); a user name beside it is what
 * the device likes to call itself. Its `cert_subject` is not read: a whole name as text, in which an organisation may spell another's CN.
 * mosquitto-go-auth gives the CN as `username` with `use_identity_as_username` (its README, "HTTP": username, clientid, topic, acc).
 */
import { deviceMay, parseIdentity, serviceMay, type BrokerAction } from "./device-access.ts";
import type { GatewayAccess } from "./gateway-access.ts";

export type AuthQuestion = Readonly<Record<string, unknown>>;

export interface AuthPolicy {
  readonly serviceUsers: readonly string[];
  /** By user. */
  readonly gateways: ReadonlyMap<string, GatewayAccess>;
  /** `tenant|deviceId` that the registry denies. */
  isDenied(deviceKey: string): boolean;
}

export function isAllowed(question: AuthQuestion, policy: AuthPolicy): boolean {
  const { topic, acc, action } = question;
  const name = nameIn(question);
  if (typeof name !== "string" || typeof topic !== "string") return false;
  const asked = actionsOf(acc ?? action);
  if (asked.length === 0) return false;
  if (policy.serviceUsers.includes(name)) return asked.every((one) => serviceMay(one, topic));
  const gateway = policy.gateways.get(name);
  if (gateway !== undefined) return asked.every((one) => gateway.may(one, topic, (deviceKey) => policy.isDenied(deviceKey)));
  const device = parseIdentity(name);
  if (device === undefined || policy.isDenied(`${device.tenant}|${device.deviceId}`)) return false;
  return asked.every((one) => deviceMay(name, one, topic));
}

function nameIn({ username, cert_common_name: commonName = "" }: AuthQuestion): unknown {
  return commonName === "" ? username : commonName;
}

/** [] for what is no question. */
function actionsOf(asked: unknown): BrokerAction[] {
  switch (typeof asked === "number" ? String(asked) : asked) {
    case "1":
    case "4":
    case "subscribe":
      return ["subscribe"];
    case "2":
    case "publish":
      return ["publish"];
    case "3":
      return ["publish", "subscribe"];
    default:
      return [];
  }
}
