import { fileURLToPath } from "node:url";
import { readCsv, replay } from "../simulate/csv.ts";
import { generateFleet } from "../simulate/fleet.ts";
import type { SimulatedEvent } from "../simulate/simulated-event.ts";

/** Real readings of an industrial machine, five minutes apart (NOTICE). */
const RECORDING = fileURLToPath(new URL("../../examples/data/nab/machine_temperature_system_failure.csv", import.meta.url));
/** Recorded time over sending time: 20 readings a second, so that the first failure comes after minutes. */
const RECORDING_SPEED = 6_000;
/** Recorded time between two readings. */
const READING_INTERVAL_MS = 300_000;

const TENANT = "demo";
const FLEET_DEVICES = 20;
/** Messages a second over the whole fleet. */
const FLEET_RATE = 20;

/** A fleet without end that misbehaves a little, so that ledgers have something to show. `run` tells this demo's boots from those of an earlier one. */
export function* fleetEvents(now: number, run: string): Generator<SimulatedEvent> {
  const fleet = generateFleet({
    seed: 7,
    tenant: TENANT,
    devices: FLEET_DEVICES,
    rate: FLEET_RATE,
    startTs: now,
    duplicates: 0.03,
    duplicateDistance: 400,
    reorder: 0.02,
    gaps: 0.005,
    reboots: 0.0005,
    maxReboots: Number.MAX_SAFE_INTEGER,
  });
  for (const event of fleet.events()) yield changed(event, { bootId: `${run}-${event.payload.bootId ?? ""}` });
}

/** The recording as device `machine-1`, again and again, its times moved and compressed to the time of sending. */
export function* machineEvents(now: number, run: string): Generator<SimulatedEvent> {
  const readings = readCsv(RECORDING);
  let startMs = now;
  for (let round = 1; ; round++) {
    const options = {
      tenant: TENANT,
      deviceId: "machine-1",
      metric: "machine_temperature",
      bootId: `${run}-${round}`,
      speed: RECORDING_SPEED,
    };
    for (const event of replay(readings, options, startMs)) {
      yield changed(event, { ts: Math.round(event.sendAtMs) });
      startMs = event.sendAtMs + READING_INTERVAL_MS / RECORDING_SPEED;
    }
  }
}

function changed(event: SimulatedEvent, fields: { bootId?: string; ts?: number }): SimulatedEvent {
  const payload = { ...event.payload, ...fields };
  return { ...event, payload, bytes: Buffer.from(JSON.stringify(payload)) };
}
