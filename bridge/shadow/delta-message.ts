/** A shadow as a device gets it. Format: docs/shadow.md. */
import { SHADOW_DOORS } from "../../processors/formats/shadow.ts";
import type { CommandMessage } from "../commands/command-message.ts";
import { deviceMessage } from "./device-message.ts";
import type { PendingDelta } from "./pending-delta.ts";

/** Devices that keep a session get what they missed from the broker, too; a newer delta makes it pointless. Seconds. */
const EXPIRY_S = 3_600;

/** The delta and its version; for a device that asked, everything else too. */
export function deltaMessage({ document, asked }: PendingDelta): CommandMessage {
  const { tenant, deviceId, version, delta = {}, desired, reported, ts } = document;
  const content = { v: 1, version, delta, ...(asked ? { desired, reported } : {}), ts };
  return deviceMessage({ tenant, deviceId, door: SHADOW_DOORS.delta, content, expiryS: EXPIRY_S });
}
