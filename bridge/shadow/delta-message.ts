/** A shadow as a device gets it. Format: docs/shadow.md. */
import { SHADOW_DOORS } from "../../processors/formats/shadow.ts";
import type { CommandMessage } from "../commands/command-message.ts";
import type { PendingDelta } from "./pending-delta.ts";

/** Devices that keep a session get what they missed from the broker, too; a newer delta makes it pointless. Seconds. */
const EXPIRY_S = 3_600;

/** The delta and its version; for a device that asked, everything else too. Never retained: what is retained outlives what is desired. */
export function deltaMessage({ document, asked }: PendingDelta): CommandMessage {
  const { tenant, deviceId, version, delta = {}, desired, reported, ts } = document;
  const content = { v: 1, version, delta, ...(asked ? { desired, reported } : {}), ts };
  return {
    topic: `t/${tenant}/d/${deviceId}/${SHADOW_DOORS.delta}`,
    payload: Buffer.from(JSON.stringify(content)),
    options: {
      qos: 1,
      retain: false,
      properties: { contentType: "application/json", payloadFormatIndicator: true, messageExpiryInterval: EXPIRY_S },
    },
  };
}
