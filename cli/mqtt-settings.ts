import { isDeepStrictEqual } from "node:util";
import { DEFAULT_FILTERS, TopicTemplates } from "../bridge/topic-templates.ts";
import type { MqttSettings } from "../bridge/ingress-settings.ts";
import type { Config } from "./config/schema.ts";
import { readTlsFiles } from "./tls-files.ts";

/** The configuration's `mqtt` section as the bridge takes it, with certificates read from their files. */
export function mqttSettings({ mqtt, admission }: Config): MqttSettings {
  const { tls, passwordFile: _, ...settings } = mqtt;
  // The default filter brings nothing that other templates want.
  const topics = isDeepStrictEqual(mqtt.topics, DEFAULT_FILTERS) ? new TopicTemplates(admission.templates).filters() : mqtt.topics;
  return { ...settings, topics, tls: tls === undefined ? undefined : readTlsFiles(tls) };
}

/** The broker for the log: scheme, host and port only. A URL may hold user and password, and its query a token. */
export function brokerAddress({ mqtt }: Config): string {
  const url = URL.parse(mqtt.url);
  return url === null ? "" : `${url.protocol}//${url.host}`;
}
