/** Devices without a record for so long that their ledger goes: found by passes through the store, so that a device costs no memory here. */
import type { DeviceRows } from "./device-row.ts";

/** Passes per idle time: how much later than due a device may be found, as a part of it. */
const PASSES_PER_IDLE = 8;

/** From opening to the first pass at most, in receive time: a worker that is often restarted passes too. ms. */
const FIRST_PASS_MS = 600_000;

/** Devices found by one pass; when there are more, the next pass comes right after. Bounds memory. */
const MAX_FOUND = 10_000;

export class IdleDevices {
  readonly #devices: DeviceRows;
  readonly #idleMs: number;
  readonly #inBackground: (work: () => Promise<void>) => void;
  #found: string[] = [];
  #nextPassAt = NaN;
  #passing = false;

  constructor(devices: DeviceRows, idleMs: number, inBackground: (work: () => Promise<void>) => void) {
    this.#devices = devices;
    this.#idleMs = idleMs;
    this.#inBackground = inBackground;
  }

  /** Takes out a device that was idle when it was found. Begins the next pass when it is time. `now`: receive time. */
  take(now: number): string | undefined {
    const key = this.#found.pop();
    if (key !== undefined || this.#passing || now < this.#nextPassAt) return key;
    if (Number.isNaN(this.#nextPassAt)) this.#nextPassAt = now + Math.min(FIRST_PASS_MS, this.#idleMs / PASSES_PER_IDLE);
    else {
      this.#passing = true;
      this.#inBackground(() => this.#pass(now));
    }
    return undefined;
  }

  async #pass(now: number): Promise<void> {
    await this.#devices.scanStored((key, { ledger }) => {
      if (ledger !== undefined && this.#found.length < MAX_FOUND && now - ledger.lastReceiveTs > this.#idleMs) this.#found.push(key);
    });
    this.#nextPassAt = this.#found.length < MAX_FOUND ? now + this.#idleMs / PASSES_PER_IDLE : now;
    this.#passing = false;
  }
}
