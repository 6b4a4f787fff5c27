/**
 * Answers a broker that asks whether a client may use a topic: mosquitto-go-auth (`acc` 1 read, 2 write, 3 both, 4 subscribe) and
 * EMQX (`action` publish or subscribe). Whatever is not clearly allowed is denied.
 */
import { deviceMay, parseIdentity, serviceMay, type BrokerAction } from "./device-access.ts";

export type AuthQuestion = Readonly<Record<string, unknown>>;

export interface AuthPolicy {
  readonly serviceUsers: readonly string[];
  /** `tenant|deviceId` that the registry denies. */
  isDenied(deviceKey: string): boolean;
}

export function isAllowed({ username, topic, acc, action }: AuthQuestion, policy: AuthPolicy): boolean {
  if (typeof username !== "string" || typeof topic !== "string") return false;
  const asked = actionsOf(acc ?? action);
  if (asked.length === 0) return false;
  if (policy.serviceUsers.includes(username)) return asked.every((one) => serviceMay(one, topic));
  const device = parseIdentity(username);
  if (device === undefined || policy.isDenied(`${device.tenant}|${device.deviceId}`)) return false;
  return asked.every((one) => deviceMay(username, one, topic));
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
