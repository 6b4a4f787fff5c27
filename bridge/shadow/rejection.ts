/** That a report was refused, as its device is told. Format: docs/shadow.md. */
import { SHADOW_DOORS } from "../../processors/formats/shadow.ts";
import type { CommandMessage } from "../commands/command-message.ts";
import { deviceMessage } from "./device-message.ts";

export interface Rejection {
  readonly tenant: string;
  readonly deviceId: string;
  /** `dlq.reason` of the report, or why the ingress did not let it in (AdmissionReason). */
  readonly code: string;
  /** Holds nothing of the report. */
  readonly message: string;
  /** Of the report, when it could be read that far and had one. */
  readonly id?: string;
  /** When the report came, epoch ms. */
  readonly ts: number;
  /** MQTT 5 correlation data of the report. */
  readonly correlation?: Buffer;
}

/** Whoever is away for longer reports anew; seconds. */
const EXPIRY_S = 60;

export function rejectionMessage({ tenant, deviceId, code, message, id, ts, correlation }: Rejection): CommandMessage {
  const content = { v: 1, code, message, id, ts };
  return deviceMessage({ tenant, deviceId, door: SHADOW_DOORS.rejected, content, expiryS: EXPIRY_S, correlation });
}
