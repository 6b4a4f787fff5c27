/** A recorded series as a device's telemetry. Columns `timestamp,value` (UTC), as the Numenta Anomaly Benchmark has them. */
import { readFileSync } from "node:fs";
import { telemetryTopic } from "../../bridge/device-topic.ts";
import type { SimulatedEvent, TelemetryPayload } from "./simulated-event.ts";

export interface Reading {
  /** Epoch ms. */
  readonly ts: number;
  readonly value: number;
}

export interface ReplayOptions {
  readonly tenant: string;
  readonly deviceId: string;
  /** Payload field of the value. */
  readonly metric: string;
  readonly bootId?: string;
  /** Moves all times by the same, so that the last reading lies here (epoch ms). Absent: times as recorded. */
  readonly lastTs?: number;
  /** Recorded time over sending time: at 300, five minutes pass in a second. */
  readonly speed: number;
}

/** Throws SyntaxError naming the line. The file is read at once: a recording is a few MB. */
export function readCsv(path: string): Reading[] {
  return parseCsv(readFileSync(path, "utf8"), path);
}

export function parseCsv(text: string, name: string): Reading[] {
  const [header, ...lines] = text.trimEnd().split(/\r?\n/);
  if (header.trim() !== "timestamp,value") throw new SyntaxError(`${name}:1: expected the columns timestamp,value`);
  return lines.map((line, index) => {
    const [timestamp, text, ...rest] = line.split(",");
    const ts = Date.parse(`${timestamp.trim().replace(" ", "T")}Z`);
    const value = text === undefined || text.trim() === "" ? Number.NaN : Number(text);
    if (Number.isNaN(ts) || !Number.isFinite(value) || rest.length > 0)
      throw new SyntaxError(`${name}:${index + 2}: expected timestamp,value`);
    return { ts, value };
  });
}

/** The readings in order, seq from 0. `sendAtMs` starts at `startMs` and follows the recorded times at the given speed. */
export function* replay(readings: readonly Reading[], options: ReplayOptions, startMs: number): Generator<SimulatedEvent, void, undefined> {
  const { tenant, deviceId, metric, bootId, speed } = options;
  if (readings.length === 0) return;
  const firstTs = readings[0].ts;
  const shift = options.lastTs === undefined ? 0 : options.lastTs - readings[readings.length - 1].ts;
  const topic = telemetryTopic(tenant, deviceId);
  for (const [seq, { ts, value }] of readings.entries()) {
    const payload: TelemetryPayload = { deviceId, ...(bootId === undefined ? {} : { bootId }), seq, ts: ts + shift, [metric]: value };
    const sendAtMs = startMs + Math.max(0, ts - firstTs) / speed;
    yield { tenant, deviceId, topic, payload, bytes: Buffer.from(JSON.stringify(payload)), sendAtMs };
  }
}
