import type { MqttSettings } from "../bridge/ingress-settings.ts";
import type { Config } from "./config/schema.ts";
import { readTlsFiles } from "./tls-files.ts";

/** The configuration's `mqtt` section as the bridge takes it, with certificates read from their files. */
export function mqttSettings({ mqtt }: Config): MqttSettings {
  const { tls, passwordFile: _, ...settings } = mqtt;
  return { ...settings, tls: tls === undefined ? undefined : readTlsFiles(tls) };
}

/** The broker for the log: scheme, host and port only. A URL may hold user and password, and its query a token. */
export function brokerAddress({ mqtt }: Config): string {
  const url = URL.parse(mqtt.url);
  return url === null ? "" : `${url.protocol}//${url.host}`;
}
