import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { DEFAULT_FILTERS, TopicTemplates } from "../bridge/topic-templates.ts";
import type { MqttSettings } from "../bridge/ingress-settings.ts";
import type { Config } from "./config/schema.ts";
import { secretFileOf, secretText } from "./config/secrets.ts";
import { Reloaded } from "./reloaded.ts";
import { readTlsFiles, tlsFileNames } from "./tls-files.ts";

/** The configuration's `mqtt` section as the bridge takes it; certificates and password are read again when their files change. */
export function mqttSettings({ mqtt, admission }: Config, logger: Logger): MqttSettings {
  const { tls = {}, passwordFile, ...rest } = mqtt;
  // The default filter brings nothing that other templates want.
  const topics = isDeepStrictEqual(mqtt.topics, DEFAULT_FILTERS) ? new TopicTemplates(admission.templates).filters() : mqtt.topics;
  const settings = { ...rest, topics };
  const changeable = secretFileOf(passwordFile, mqtt.password);
  const files = [...tlsFileNames(tls), ...(changeable === undefined ? [] : [changeable])];
  if (files.length === 0) return settings;
  const make = () => ({
    ...readTlsFiles(tls),
    ...(changeable === undefined ? {} : { password: secretText(readFileSync(changeable)) }),
  });
  const reloaded = new Reloaded(files, make, logger);
  return { ...settings, refresh: { version: () => reloaded.version, current: () => reloaded.current } };
}

/** The broker for the log: scheme, host and port only. A URL may hold user and password, and its query a token. */
export function brokerAddress({ mqtt }: Config): string {
  const url = URL.parse(mqtt.url);
  return url === null ? "" : `${url.protocol}//${url.host}`;
}
