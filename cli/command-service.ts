import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { CommandService } from "../bridge/commands/command-service.ts";
import { COMMAND_BOUNDS } from "../bridge/commands/command-settings.ts";
import type { MqttSettings } from "../bridge/ingress-settings.ts";
import type { OfflineDevices } from "../bridge/presence/offline-devices.ts";
import type { EventLog } from "../eventlog/port.ts";
import type { Config } from "./config/schema.ts";
import type { Closers } from "./service.ts";

/** Starts carrying out commands, beside an ingress of the same name. Undefined when commands are off. */
export async function startCommandService(
  config: Config,
  mqtt: MqttSettings,
  log: EventLog,
  registry: Registry,
  logger: Logger,
  closers: Closers,
  offline: OfflineDevices | undefined,
): Promise<CommandService | undefined> {
  const { commands, topics, applicationId, kafka } = config;
  if (!commands.enabled) return undefined;
  const service = new CommandService({
    // A connection of its own: what the ingress has to acknowledge must not wait behind it.
    mqtt: { ...mqtt, clientId: `${mqtt.clientId}-commands` },
    log,
    topics: { commands: commands.topic, status: commands.statusTopic, acks: commands.ackTopic, dlq: topics.dlq },
    groupId: `${applicationId}-commands`,
    serviceId: mqtt.clientId,
    sessionTimeoutMs: kafka.sessionTimeoutMs,
    format: commands.format,
    bounds: { ...COMMAND_BOUNDS, ...boundsOf(commands) },
    offline,
    logger,
    registry,
  });
  closers.push("commands", () => service.stop());
  await service.start();
  logger.info({ topic: commands.topic }, "commands are carried out");
  return service;
}

function boundsOf({
  deviceWindow,
  answerWaitMs,
  deviceQueue,
  maxOpen,
  maxAttempts,
  retryMinMs,
  retryMaxMs,
  ackRetryMinMs,
  ackRetryMaxMs,
}: Config["commands"]) {
  return { deviceWindow, answerWaitMs, deviceQueue, maxOpen, maxAttempts, retryMinMs, retryMaxMs, ackRetryMinMs, ackRetryMaxMs };
}
