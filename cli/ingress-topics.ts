/** What an ingress subscribes to, and where what devices send goes, as commands and shadows are on or off. */
import { ACK_FILTER } from "../bridge/commands/command-message.ts";
import { SHADOW_TEMPLATES } from "../bridge/device-topic.ts";
import type { MqttSettings } from "../bridge/ingress-settings.ts";
import type { TargetTopics } from "../bridge/route-targets.ts";
import { TopicTemplates } from "../bridge/topic-templates.ts";
import type { Config } from "./config/schema.ts";

const SHADOW_FILTERS = new TopicTemplates(SHADOW_TEMPLATES).filters();

/** Where what devices send goes: their answers too when commands are on, their reports when shadows are. */
export function targetTopics({ commands, shadow, topics: { raw, dlq } }: Config): TargetTopics {
  return { raw, dlq, ...(commands.enabled ? { acks: commands.ackTopic } : {}), ...(shadow.enabled ? { shadow: shadow.updatesTopic } : {}) };
}

/** What the ingress takes beside telemetry. */
export function ingressFor(config: Config, mqtt: MqttSettings): { mqtt: MqttSettings; topics: TargetTopics } {
  const { commands, shadow } = config;
  const filters = [...mqtt.topics, ...(commands.enabled ? [ACK_FILTER] : []), ...(shadow.enabled ? SHADOW_FILTERS : [])];
  return {
    mqtt: { ...mqtt, topics: [...new Set(filters)] },
    topics: targetTopics(config),
  };
}
