import type { MqttSettings } from "../bridge/ingress-settings.ts";
import type { Config } from "./config/schema.ts";
import { readTlsFiles } from "./tls-files.ts";

/** The configuration's `mqtt` section as the bridge takes it, with certificates read from their files. */
export function mqttSettings({ mqtt }: Config): MqttSettings {
  const { tls, passwordFile: _, ...settings } = mqtt;
  return { ...settings, tls: tls === undefined ? undefined : readTlsFiles(tls) };
}
