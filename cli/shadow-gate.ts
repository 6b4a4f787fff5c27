import type { ShadowGate } from "../api/options.ts";
import { KeyedSender } from "../bridge/keyed-sender.ts";
import type { EventLog } from "../eventlog/port.ts";
import { deviceKey } from "../processors/formats/names.ts";
import type { Config } from "./config/schema.ts";
import type { Closers } from "./service.ts";

/** What the HTTP API changes shadows through. Undefined when shadows are off. */
export function openShadowGate({ shadow }: Config, log: EventLog, closers: Closers): ShadowGate | undefined {
  if (!shadow.enabled) return undefined;
  const sender = new KeyedSender(log, shadow.updatesTopic);
  closers.push("shadow sender", () => sender.close());
  return { bounds: shadow, send: (request) => sender.send(deviceKey(request.tenant, request.deviceId), request) };
}
