import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { MqttSettings } from "../bridge/ingress-settings.ts";
import { OfflineDevices } from "../bridge/presence/offline-devices.ts";
import { DELTA_BOUNDS } from "../bridge/shadow/delta-book.ts";
import { ShadowService } from "../bridge/shadow/shadow-service.ts";
import type { EventLog } from "../eventlog/port.ts";
import type { Config } from "./config/schema.ts";
import type { Closers } from "./service.ts";

/** Who is offline, for those who send to devices. Undefined when presence is off, or nobody sends. */
export async function openOfflineDevices(
  { presence, commands, shadow }: Config,
  log: EventLog,
  logger: Logger,
  closers: Closers,
): Promise<OfflineDevices | undefined> {
  if (presence === undefined || !(commands.enabled || shadow.enabled)) return undefined;
  const offline = new OfflineDevices(presence.topic, presence.maxDevices, log, logger);
  closers.push("presence of others", () => offline.close());
  await offline.start();
  return offline;
}

/** Starts telling devices what is desired of them, beside an ingress of the same name. Undefined when shadows are off. */
export async function startShadowService(
  { applicationId, shadow, kafka }: Config,
  mqtt: MqttSettings,
  log: EventLog,
  registry: Registry,
  logger: Logger,
  closers: Closers,
  offline: OfflineDevices | undefined,
): Promise<ShadowService | undefined> {
  if (!shadow.enabled) return undefined;
  const service = new ShadowService({
    // A connection of its own: what the ingress has to acknowledge must not wait behind it.
    mqtt: { ...mqtt, clientId: `${mqtt.clientId}-shadow` },
    log,
    topic: shadow.topic,
    groupId: `${applicationId}-shadow`,
    serviceId: mqtt.clientId,
    sessionTimeoutMs: kafka.sessionTimeoutMs,
    bounds: DELTA_BOUNDS,
    offline,
    logger,
    registry,
  });
  closers.push("shadows", () => service.stop());
  await service.start();
  logger.info({ topic: shadow.topic }, "devices are told what is desired of them");
  return service;
}
