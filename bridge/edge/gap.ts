/**
 * What a gateway gave up, told downstream: how many messages, of which devices, received when. A marker is stored among the
 * messages and goes the same way, so that whoever looks for them finds out why they are not there.
 */
import type { RecordHeader } from "../../eventlog/port.ts";

/** `full`: dropOldest or dropNewest. `expired`: older than maxAgeMs. `refused`: the upstream broker will never take them. */
export type GapReason = "full" | "expired" | "refused";

export interface Gap {
  readonly v: 1;
  readonly gateway: string;
  readonly reason: GapReason;
  readonly messages: number;
  readonly bytes: number;
  /** Receive times of the first and the last, epoch ms. */
  readonly from: number;
  readonly to: number;
  /** Messages by `tenant|deviceId`. */
  readonly devices: Readonly<Record<string, number>>;
  /** Messages of further devices, and of none. */
  readonly others: number;
}

/** Marks a stored record that is a gap. */
export const GAP_HEADER = "gateway.gap";
/** Named in one marker: keeps it below about 30 KiB. */
const MAX_DEVICES = 100;

export class GapTally {
  readonly reason: GapReason;
  #messages = 0;
  #bytes = 0;
  #from = Infinity;
  #to = -Infinity;
  #others = 0;
  readonly #devices = new Map<string, number>();

  constructor(reason: GapReason) {
    this.reason = reason;
  }

  get messages(): number {
    return this.#messages;
  }

  /** @param device `tenant|deviceId`, or undefined */
  add(device: string | undefined, bytes: number, ts: number): void {
    this.#messages++;
    this.#bytes += bytes;
    this.#from = Math.min(this.#from, ts);
    this.#to = Math.max(this.#to, ts);
    if (device === undefined) this.#others++;
    else this.#count(device, 1);
  }

  #count(device: string, messages: number): void {
    const known = this.#devices.get(device);
    if (known === undefined && this.#devices.size >= MAX_DEVICES) this.#others += messages;
    else this.#devices.set(device, (known ?? 0) + messages);
  }

  /** An earlier marker that was given up itself before it was forwarded. */
  merge({ messages, bytes, from, to, devices, others }: Gap): void {
    this.#messages += messages;
    this.#bytes += bytes;
    this.#from = Math.min(this.#from, from);
    this.#to = Math.max(this.#to, to);
    this.#others += others;
    for (const [device, count] of Object.entries(devices)) this.#count(device, count);
  }

  /** Undefined when nothing was given up. */
  take(gateway: string): Gap | undefined {
    if (this.#messages === 0) return undefined;
    const gap: Gap = {
      v: 1,
      gateway,
      reason: this.reason,
      messages: this.#messages,
      bytes: this.#bytes,
      from: this.#from,
      to: this.#to,
      devices: Object.fromEntries(this.#devices),
      others: this.#others,
    };
    this.#messages = this.#bytes = this.#others = 0;
    this.#from = Infinity;
    this.#to = -Infinity;
    this.#devices.clear();
    return gap;
  }
}

export function gapHeaders({ reason }: Gap): RecordHeader[] {
  return [{ key: GAP_HEADER, value: Buffer.from(reason) }];
}
