/** TelemetryEvent and the record it is written as. */
import { Device } from "./device.ts";
import { flagBits, flagsOf, TelemetryEvent, type AttributeValue } from "./event.ts";
import type { NormalizedRecord } from "./formats/records.ts";
import { NO_METRICS } from "./metric-shape.ts";
import { Payload } from "./payload.ts";
import { CompiledProfile } from "./profile.ts";

/** Events that were read back have been through their profile. */
const NO_PROFILE = new CompiledProfile("normalized", {});
const NO_PAYLOAD = new Payload();

export function toNormalizedRecord(event: TelemetryEvent): NormalizedRecord {
  const { device, deviceTs, ts } = event;
  if (device === undefined) throw new Error("an event is written after validate");
  const metrics: Record<string, number> = {};
  for (let i = 0; i < event.values.length; i++) metrics[event.metrics.names[i]] = event.values[i];
  const attributes: Record<string, AttributeValue> = {};
  for (let i = 0; i < event.attributeNames.length; i++) attributes[event.attributeNames[i]] = event.attributeValues[i];
  return {
    v: 1,
    tenant: device.tenant,
    deviceId: device.deviceId,
    ...(event.bootId === undefined ? {} : { bootId: event.bootId }),
    ...(event.seq < 0 ? {} : { seq: event.seq }),
    ts,
    ...(Number.isNaN(deviceTs) || deviceTs === ts ? {} : { deviceTs }),
    receivedTs: event.receivedTs,
    metrics,
    attributes,
    flags: flagsOf(event.flags),
  };
}

/** For topologies that read the normalized topic. */
export function fromNormalizedRecord(record: NormalizedRecord): TelemetryEvent {
  const event = new TelemetryEvent(NO_PAYLOAD);
  event.device = new Device(record.tenant, record.deviceId, NO_PROFILE);
  event.bootId = record.bootId;
  event.seq = record.seq ?? -1;
  event.ts = record.ts;
  event.flags = flagBits(record.flags);
  event.deviceTs = record.deviceTs ?? (record.flags.includes("no-ts") ? NaN : record.ts);
  event.receivedTs = record.receivedTs;
  event.metrics = Object.keys(record.metrics).reduce((shape, name) => shape.append(name), NO_METRICS);
  event.values = Object.values(record.metrics);
  event.attributeNames = Object.keys(record.attributes);
  event.attributeValues = Object.values(record.attributes);
  return event;
}
