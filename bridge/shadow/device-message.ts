/** What the shadow service says to a device. Formats: docs/shadow.md. */
import type { SHADOW_DOORS } from "../../processors/formats/shadow.ts";
import type { CommandMessage } from "../commands/command-message.ts";

export interface DeviceMessage {
  readonly tenant: string;
  readonly deviceId: string;
  readonly door: (typeof SHADOW_DOORS)[keyof typeof SHADOW_DOORS];
  readonly content: object;
  /** How long the broker keeps it for a device that is away. */
  readonly expiryS: number;
  readonly correlation?: Buffer;
}

/** JSON, QoS 1. Never retained: what is retained outlives what is desired. */
export function deviceMessage({ tenant, deviceId, door, content, expiryS, correlation }: DeviceMessage): CommandMessage {
  return {
    topic: `t/${tenant}/d/${deviceId}/${door}`,
    payload: Buffer.from(JSON.stringify(content)),
    options: {
      qos: 1,
      retain: false,
      properties: {
        contentType: "application/json",
        payloadFormatIndicator: true,
        messageExpiryInterval: expiryS,
        ...(correlation === undefined ? {} : { correlationData: correlation }),
      },
    },
  };
}
