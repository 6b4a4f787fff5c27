import { randomBytes } from "node:crypto";

/** A name no other test uses, valid as a Kafka topic, group, MQTT client and tenant. */
export function uniqueName(prefix = "test"): string {
  return `${prefix}-${randomBytes(6).toString("hex")}`;
}
