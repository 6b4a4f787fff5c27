import type { Logger } from "pino";
import type { CommandGate } from "../api/options.ts";
import { StatusView } from "../bridge/commands/status-view.ts";
import { KeyedSender } from "../bridge/keyed-sender.ts";
import type { EventLog } from "../eventlog/port.ts";
import { deviceKey } from "../processors/formats/names.ts";
import type { Config } from "./config/schema.ts";
import type { Closers } from "./service.ts";

/** What the HTTP API and `sluice command` reach devices through. Undefined when commands are off. */
export async function openCommandGate(
  { commands }: Config,
  log: EventLog,
  logger: Logger,
  closers: Closers,
  partitions?: readonly number[],
): Promise<CommandGate | undefined> {
  if (!commands.enabled) return undefined;
  const sender = new KeyedSender(log, commands.topic);
  closers.push("command sender", () => sender.close());
  const view = new StatusView({ log, topics: { commands: commands.topic, status: commands.statusTopic }, partitions, logger });
  closers.push("command statuses", () => view.stop());
  await view.start();
  return {
    expiresInMs: commands.expiresInMs,
    // the same command may be sent again: its id makes it one
    send: (command) => sender.send(deviceKey(command.tenant, command.deviceId), command),
    status: (tenant, deviceId, id) => view.status(tenant, deviceId, id),
    newest: (tenant, deviceId, limit) => view.newest(tenant, deviceId, limit),
  };
}
