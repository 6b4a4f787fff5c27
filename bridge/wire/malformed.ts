import { BridgeError } from "../errors.ts";

export function malformed(what: string): BridgeError {
  return new BridgeError("malformed-packet", `the MQTT broker sent ${what}`);
}
