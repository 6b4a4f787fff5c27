/** A deterministic fleet: the same options make the same messages, byte for byte, and the same expectation. */
import { telemetryTopic } from "../../bridge/device-topic.ts";
import { deviceKey } from "../../processors/formats/names.ts";
import { tally, type FleetExpectation } from "./fleet-expected.ts";
import { FLEET_DEFAULTS, type FleetOptions } from "./fleet-options.ts";
import { planFleet, type PlannedArrival } from "./fleet-plan.ts";
import { metricValue } from "./metric-values.ts";
import { noise } from "./random.ts";
import type { SimulatedEvent, TelemetryPayload } from "./simulated-event.ts";

export interface Fleet {
  /** In sending order; each call starts anew with the same messages. */
  events(): Iterable<SimulatedEvent>;
  /** What must come of them all; made on first use. Throws RangeError for a fleet without end. */
  readonly expected: FleetExpectation;
}

/** Every tenth device's clock is wrong, when clocks are. */
const SKEWED_DEVICE = 10;

/** Throws RangeError naming the option that makes no sense. */
export function generateFleet(given: Partial<FleetOptions>): Fleet {
  const options = { ...FLEET_DEFAULTS, ...given };
  check(options);
  const names = Array.from({ length: options.devices }, (_, index) => deviceName(index, options.devices));
  let expected: FleetExpectation | undefined;
  return {
    *events() {
      for (const arrival of planFleet(options)) yield toEvent(options, names, arrival);
    },
    get expected() {
      if (options.count === undefined) throw new RangeError("a fleet without a count has no expected outcome");
      expected ??= tally(planFleet(options), ({ message }) => {
        const deviceId = names[message.device];
        return { deviceId, id: `${deviceKey(options.tenant, deviceId)}|${bootName(options, message.boot)}|${message.seq}` };
      });
      return expected;
    },
  };
}

function toEvent(options: FleetOptions, names: readonly string[], { message, sendAtMs }: PlannedArrival): SimulatedEvent {
  const { device, boot, seq, ts } = message;
  const deviceId = names[device];
  const metrics: Record<string, number> = {};
  options.metrics.forEach((metric, index) => (metrics[metric] = metricValue(metric, index, device, boot, seq, ts)));
  const payload: TelemetryPayload = { deviceId, bootId: bootName(options, boot), seq, ts: ts + clockError(options, device), ...metrics };
  const topic = telemetryTopic(options.tenant, deviceId);
  return { tenant: options.tenant, deviceId, topic, payload, bytes: Buffer.from(JSON.stringify(payload)), sendAtMs };
}

function clockError({ clockSkewMs, seed }: FleetOptions, device: number): number {
  if (clockSkewMs === 0 || device % SKEWED_DEVICE !== 0) return 0;
  return Math.round((noise(seed, device, 99) * 2 - 1) * clockSkewMs);
}

function deviceName(index: number, devices: number): string {
  return `device-${String(index + 1).padStart(String(devices).length, "0")}`;
}

function bootName({ bootPrefix }: FleetOptions, boot: number): string {
  return `${bootPrefix}${boot + 1}`;
}

function check(options: FleetOptions): void {
  const require = (valid: boolean, rule: string): void => {
    if (!valid) throw new RangeError(rule);
  };
  require(Number.isInteger(options.devices) && options.devices >= 1, "devices must be a whole number from 1");
  require(options.rate > 0, "rate must be above 0 messages a second");
  require(options.count === undefined || (Number.isInteger(options.count) && options.count >= 0), "count must be a whole number from 0");
  for (const share of ["duplicates", "reorder", "gaps", "reboots"] as const) {
    require(options[share] >= 0 && options[share] <= 0.9, `${share} must be a share from 0 to 0.9`);
  }
  require(Number.isInteger(options.duplicateDistance) && options.duplicateDistance >= 1, "duplicateDistance must be a whole number from 1");
  require(options.clockSkewMs >= 0, "clockSkewMs must not be negative");
}
