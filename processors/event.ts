/** One telemetry event on its way through the job. */
import type { Device } from "./device.ts";
import type { Flag } from "./formats/records.ts";
import { NO_METRICS, type MetricShape } from "./metric-shape.ts";
import type { Payload } from "./payload.ts";

/** Bits of TelemetryEvent.flags, in the order in which flags are written. */
export const FLAG = { clockAhead: 1, late: 2, noIdentity: 4, noTs: 8, retained: 16 } as const;
const FLAG_NAMES: readonly Flag[] = ["clock-ahead", "late", "no-identity", "no-ts", "retained"];
/** Every combination, made once. */
const FLAG_SETS: readonly (readonly Flag[])[] = Array.from({ length: 32 }, (_, bits) =>
  FLAG_NAMES.filter((_name, bit) => (bits & (1 << bit)) !== 0),
);

export function flagsOf(bits: number): readonly Flag[] {
  return FLAG_SETS[bits];
}

export function flagBits(flags: readonly Flag[]): number {
  return flags.reduce((bits, flag) => bits | (1 << FLAG_NAMES.indexOf(flag)), 0);
}

/** The array that events of one raw record came in. */
export interface Batch {
  /** One dead letter a raw record, however many of its events are bad. */
  rejected: boolean;
}

const NONE: readonly never[] = [];

export type AttributeValue = string | number | boolean;

/**
 * Begun by decode and filled in by each stage in turn: a stage may write its own fields until it forwards the event,
 * nobody afterwards. One object is used for all events, so that none is garbage: nothing may keep it, its values or its payload.
 */
export class TelemetryEvent {
  // Times begin as fractions: the engine then keeps them unboxed, and writing one allocates nothing.
  // decode
  /** Refilled for the next event: read until normalize has forwarded this one, and by dedupe for what came as an object. */
  readonly payload: Payload;
  batch: Batch | undefined = undefined;
  /** Of the event within its batch; 0 without one. */
  index = 0;
  // validate
  device: Device | undefined = undefined;
  bootId: string | undefined = undefined;
  /** -1: none. */
  seq = -1;
  messageId: string | undefined = undefined;
  /** Event time, epoch ms. */
  ts = 0.5;
  /** The time on the device's own clock, epoch ms; NaN when it sent none. Differs from ts with flag clock-ahead. */
  deviceTs = NaN;
  receivedTs = 0.5;
  /** Bits of FLAG. */
  flags = 0;
  // normalize
  metrics: MetricShape = NO_METRICS;
  /** In the order of metrics.names. */
  values: readonly number[] = NONE;
  attributeNames: readonly string[] = NONE;
  attributeValues: readonly AttributeValue[] = NONE;
  // dedupe
  /** The device's stream time with this event counted in, epoch ms. */
  deviceTime = 0.5;

  constructor(payload: Payload) {
    this.payload = payload;
  }

  /** Another event, of which there is only what the payload says. */
  begin(batch: Batch | undefined, index: number): void {
    this.batch = batch;
    this.index = index;
    this.device = undefined;
    this.bootId = undefined;
    this.seq = -1;
    this.messageId = undefined;
    this.deviceTs = NaN;
    this.flags = 0;
    this.metrics = NO_METRICS;
    this.values = NONE;
    this.attributeNames = NONE;
    this.attributeValues = NONE;
  }
}
