/** Readings of simulated devices: a function of device, boot, seq and time, so that a message made twice has the same bytes. */
import { noise } from "./random.ts";

/** Every tenth device runs hot now and then, crossing 90 and falling below 88, for alert rules to have something to do. */
const HOT_DEVICE = 10;
const HOT_PERIOD_MS = 120_000;
const WAVE_PERIOD_MS = 600_000;

/** `index` is the metric's place in the fleet's list: it keeps two waves of one device apart. */
export function metricValue(metric: string, index: number, device: number, boot: number, seq: number, ts: number): number {
  const jitter = noise(device, boot, seq, index) - 0.5;
  const phase = noise(device, index) * 2 * Math.PI;
  if (metric === "tempC") return round(temperature(device, ts, phase) + jitter, 2);
  if (metric === "rpm") return Math.round(1200 + 150 * wave(ts, WAVE_PERIOD_MS, phase) + 20 * jitter);
  return round(50 + 45 * wave(ts, WAVE_PERIOD_MS, phase) + 10 * jitter, 3);
}

function temperature(device: number, ts: number, phase: number): number {
  if (device % HOT_DEVICE === HOT_DEVICE - 1) return 82 + 12 * wave(ts, HOT_PERIOD_MS, phase);
  return 21 + 20 * noise(device, 77) + 4 * wave(ts, WAVE_PERIOD_MS, phase);
}

function wave(ts: number, periodMs: number, phase: number): number {
  return Math.sin((ts / periodMs) * 2 * Math.PI + phase);
}

function round(value: number, digits: number): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}
