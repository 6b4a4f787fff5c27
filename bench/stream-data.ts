/**
 * The data of the stream job: that of `shared/peers/stream-job` in shape (10,000 devices x 100 samples a second apart,
 * 5 % duplicates up to 20,000 positions later, 1 % delayed by up to 50,000), from a seed of our own.
 */
import type { RawEvent } from "../test/support/telemetry.ts";

export interface StreamData {
  /** Distinct events. */
  readonly distinct: number;
  /** With duplicates. */
  readonly total: number;
  readonly events: () => Generator<RawEvent>;
}

const DUPLICATE_SHARE = 0.05;
const MAX_DUPLICATE_DISTANCE = 20_000;
const DELAYED_SHARE = 0.01;
const MAX_DELAY_POSITIONS = 50_000;

const WINDOW_MS = 10_000;
const SEED = 20_260_101;
/** What an event without texts takes at the least. */
const BARE_BYTES = 93;
const TEXT_CHARS = 1_000;

/** Event time of a first sample, where a window of the default job begins; not long ago, since brokers delete by record time. Epoch ms. */
export function recentBaseMs(): number {
  return Math.floor((Date.now() - 3_600_000) / WINDOW_MS) * WINDOW_MS;
}

export interface EventShape {
  /** Numbers in each event; the first two are tempC and rpm. */
  readonly metrics: number;
  /** At least, with texts of up to 1,000 characters that become attributes. */
  readonly payloadBytes: number;
}

/** Those of the peers. */
const PEERS_SHAPE: EventShape = { metrics: 2, payloadBytes: 0 };

/** @param baseMs as recentBaseMs() */
export function streamData(devices: number, samples: number, baseMs: number, shape = PEERS_SHAPE): StreamData {
  const random = mulberry32(SEED);
  const distinct = devices * samples;
  const total = distinct + Math.floor(distinct * DUPLICATE_SHARE);
  // order: position of each event, delayed ones pushed back, duplicates put in; sorted once
  const positions = new Float64Array(total);
  for (let i = 0; i < distinct; i++) positions[i] = i + (random() < DELAYED_SHARE ? 1 + Math.floor(random() * MAX_DELAY_POSITIONS) : 0);
  const sources = new Int32Array(total);
  for (let i = 0; i < distinct; i++) sources[i] = i;
  for (let i = distinct; i < total; i++) {
    sources[i] = Math.floor(random() * distinct);
    positions[i] = positions[sources[i]] + 1 + Math.floor(random() * MAX_DUPLICATE_DISTANCE);
  }
  const order = Int32Array.from({ length: total }, (_, i) => i).sort((a, b) => positions[a] - positions[b] || a - b);

  const texts = textsOf(shape.payloadBytes - BARE_BYTES);

  function* events(): Generator<RawEvent> {
    for (const index of order) {
      const event = sources[index];
      const device = event % devices;
      const seq = Math.floor(event / devices);
      const ts = baseMs + seq * 1_000 + Math.floor((device / devices) * 1_000) + (event % 50);
      const value = `{"deviceId":"device-${device}","bootId":"b1","seq":${seq},"ts":${ts}${measured(event, shape.metrics)}${texts}}`;
      yield { tenant: "demo", deviceId: `device-${device}`, value: Buffer.from(value), receivedTs: ts };
    }
  }
  return { distinct, total, events };
}

function measured(event: number, metrics: number): string {
  const tempC = 20 + (event % 997) / 100;
  if (metrics === 1) return `,"tempC":${tempC}`;
  let text = `,"tempC":${tempC},"rpm":${1_000 + (event % 503)}`;
  for (let metric = 2; metric < metrics; metric++) text += `,"m${metric}":${((event + metric) % 997) / 10}`;
  return text;
}

function textsOf(characters: number): string {
  let texts = "";
  for (let left = characters, n = 0; left > 0; left -= TEXT_CHARS, n++) texts += `,"text${n}":"${"x".repeat(Math.min(left, TEXT_CHARS))}"`;
  return texts;
}

/** Small, seedable, good enough for test data. Source: Tommy Ettinger's mulberry32 (public domain). */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
