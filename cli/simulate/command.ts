/** `sluice simulate`: a fleet, or a recording, over MQTT. Wired into the command line by cli/program.ts. */
import { readCsv, replay } from "./csv.ts";
import { generateFleet } from "./fleet.ts";
import { openMqttSink } from "./mqtt-sink.ts";
import { publishEvents, type PublishProgress } from "./publisher.ts";
import type { SimulatedEvent } from "./simulated-event.ts";

export interface SimulateOptions {
  /** The MQTT broker. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly tenant: string;
  readonly qos: 0 | 1 | 2;
  /** Names of payload fields; with a CSV the first one holds its values. */
  readonly metrics?: readonly string[];
  readonly devices?: number;
  /** Messages a second over the whole fleet. 0: as fast as the broker takes them. */
  readonly rate?: number;
  readonly durationS?: number;
  readonly count?: number;
  /** Shares of 1. */
  readonly duplicates?: number;
  readonly reorder?: number;
  readonly gaps?: number;
  readonly reboots?: number;
  readonly clockSkewMs?: number;
  readonly seed?: number;
  /** A file with the columns timestamp,value instead of a fleet. */
  readonly csv?: string;
  /** With `csv`: the device's name. Default: machine-1. */
  readonly device?: string;
  /** With `csv`: recorded time over sending time. 0: as fast as the broker takes it. Default 300. */
  readonly speed?: number;
  /** With `csv`: move its times so that the last reading lies at now. */
  readonly toNow?: boolean;
}

export interface SimulateIo {
  /** About once a second: a person's line, not the result. */
  progress(line: string): void;
  readonly signal: AbortSignal;
  /** Epoch ms; the fleet's first message and the recording's last lie here. */
  now(): number;
}

export interface SimulateResult {
  readonly sent: number;
  readonly elapsedMs: number;
  readonly perSecond: number;
}

const DEFAULT_SPEED = 300;
const DEFAULT_RATE = 10;
/** Times between messages of a fleet that is sent as fast as possible. */
const UNPACED_RATE = 1000;

/** Resolves when all was sent and acknowledged, or the signal or the duration ended it. Rejects with RangeError or SyntaxError for wrong options. */
export async function runSimulate(options: SimulateOptions, io: SimulateIo): Promise<SimulateResult> {
  const { events, paced } = options.csv === undefined ? fleetEvents(options, io) : csvEvents(options, options.csv, io);
  const sink = await openMqttSink(options);
  try {
    const done = await publishEvents(events, sink, {
      paced,
      durationMs: options.durationS === undefined ? undefined : options.durationS * 1000,
      signal: io.signal,
      onProgress: (progress) => {
        const { sent, perSecond } = summarize(progress);
        io.progress(`${sent} messages sent, ${perSecond} a second`);
      },
    });
    return summarize(done);
  } finally {
    await sink.close();
  }
}

function fleetEvents(options: SimulateOptions, io: SimulateIo): { events: Iterable<SimulatedEvent>; paced: boolean } {
  const { tenant, devices, count, duplicates, reorder, gaps, reboots, clockSkewMs, seed, metrics } = options;
  const rate = options.rate ?? DEFAULT_RATE;
  const startTs = io.now();
  const given = { tenant, devices, count, duplicates, reorder, gaps, reboots, clockSkewMs, seed, metrics };
  const fleet = generateFleet({
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    // Without an end, a fleet may reboot as often as it likes: no exact outcome is asked for.
    ...(count === undefined ? { maxReboots: Number.MAX_SAFE_INTEGER } : {}),
    // A second run is a new life of the devices, not a heap of duplicates of the first.
    bootPrefix: `${startTs.toString(36)}-`,
    rate: rate === 0 ? UNPACED_RATE : rate,
    startTs,
  });
  return { events: fleet.events(), paced: rate !== 0 };
}

function csvEvents(options: SimulateOptions, path: string, io: SimulateIo): { events: Iterable<SimulatedEvent>; paced: boolean } {
  const speed = options.speed ?? DEFAULT_SPEED;
  if (speed < 0) throw new RangeError("speed must not be negative");
  const [metric = "tempC"] = options.metrics ?? [];
  const readings = readCsv(path).slice(0, options.count);
  const lastTs = options.toNow === true ? io.now() : undefined;
  const replayed = { tenant: options.tenant, deviceId: options.device ?? "machine-1", metric, lastTs, speed: speed === 0 ? 1 : speed };
  // A new boot id per run: a second replay is a new life of the device, not a heap of duplicates.
  return { events: replay(readings, { ...replayed, bootId: `replay-${io.now()}` }, io.now()), paced: speed !== 0 };
}

function summarize({ sent, elapsedMs }: PublishProgress): SimulateResult {
  return { sent, elapsedMs: Math.round(elapsedMs), perSecond: Math.round(sent / Math.max(elapsedMs / 1000, 0.001)) };
}
