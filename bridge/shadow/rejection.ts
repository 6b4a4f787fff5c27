/** That a report was refused, as its device is told. Format: docs/shadow.md. */
import { SHADOW_DOORS } from "../../processors/formats/shadow.ts";
import type { CommandMessage } from "../commands/command-message.ts";

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
  return {
    topic: `t/${tenant}/d/${deviceId}/${SHADOW_DOORS.rejected}`,
    payload: Buffer.from(JSON.stringify({ v: 1, code, message, id, ts })),
    options: {
      qos: 1,
      retain: false,
      properties: {
        contentType: "application/json",
        payloadFormatIndicator: true,
        messageExpiryInterval: EXPIRY_S,
        ...(correlation === undefined ? {} : { correlationData: correlation }),
      },
    },
  };
}
