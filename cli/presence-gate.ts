import type { Logger } from "pino";
import type { PresenceGate } from "../api/options.ts";
import { PresenceTable } from "../bridge/presence/presence-table.ts";
import type { EventLog } from "../eventlog/port.ts";
import { deviceKey } from "../processors/formats/names.ts";
import type { Config } from "./config/schema.ts";
import type { Closers } from "./service.ts";

/** What the HTTP API knows of who is there. Undefined when presence is off. */
export function openPresenceGate({ presence }: Config, log: EventLog, logger: Logger, closers: Closers): PresenceGate | undefined {
  if (presence === undefined) return undefined;
  const table = new PresenceTable(presence.topic, presence.maxDevices, log, logger);
  closers.push("presence", () => table.close());
  table.start();
  return { of: (tenant, deviceId) => table.of(deviceKey(tenant, deviceId)) };
}
