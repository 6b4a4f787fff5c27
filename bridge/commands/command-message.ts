/** A command as an MQTT message, and the acknowledgement that comes back. Formats: docs/commands.md. */
import { ACK_TEMPLATE } from "../device-topic.ts";
import { TopicTemplates } from "../topic-templates.ts";
import type { IClientPublishOptions } from "mqtt";
import type { Command } from "../../processors/formats/commands.ts";
import type { OpenCommand } from "./open-command.ts";

/**
 * - `envelope`: JSON with id, name, expiry and where to answer beside the payload: what MQTT 3.1.1 devices need.
 * - `raw`: the payload alone; everything else is in MQTT 5 properties.
 */
export type MessageFormat = "envelope" | "raw";

export interface CommandMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly options: IClientPublishOptions;
}

export function commandTopic(tenant: string, deviceId: string): string {
  return `t/${tenant}/d/${deviceId}/cmd`;
}

export function ackTopic(tenant: string, deviceId: string): string {
  return `${commandTopic(tenant, deviceId)}/ack`;
}

/** The topic filter under which all acknowledgements come. */
export const [ACK_FILTER] = new TopicTemplates([ACK_TEMPLATE]).filters();

/** Properties are for MQTT 5; MQTT.js leaves them out on an older connection. */
export function commandMessage({ command, attempts }: OpenCommand, format: MessageFormat, now: number): CommandMessage {
  const { tenant, deviceId, id, qos, expiresTs } = command;
  const responseTopic = ackTopic(tenant, deviceId);
  const { content, contentType } = format === "envelope" ? envelope(command, attempts, responseTopic) : raw(command.payload);
  return {
    topic: commandTopic(tenant, deviceId),
    payload: Buffer.from(content),
    options: {
      qos,
      retain: false,
      properties: {
        // Whole seconds, rather too few than too many; a broker's message may outlive the command by one [MQTT-3.3.2.3.3].
        messageExpiryInterval: Math.max(1, Math.floor((expiresTs - now) / 1000)),
        responseTopic,
        correlationData: Buffer.from(id),
        contentType,
        payloadFormatIndicator: true,
        userProperties: { name: command.name, attempt: String(attempts) },
      },
    },
  };
}

function envelope({ id, name, payload, expiresTs }: Command, attempt: number, responseTopic: string) {
  return { content: JSON.stringify({ v: 1, id, name, payload, attempt, expiresTs, responseTopic }), contentType: "application/json" };
}

/** Text goes as it is, everything else as JSON. */
function raw(payload: unknown) {
  if (payload === undefined) return { content: "", contentType: "text/plain" };
  if (typeof payload === "string") return { content: payload, contentType: "text/plain" };
  return { content: JSON.stringify(payload), contentType: "application/json" };
}
