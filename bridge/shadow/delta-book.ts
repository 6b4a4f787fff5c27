/**
 * The devices of one partition that are not as desired, and when they are told. No I/O and no clock of its own. It holds the newest
 * document of a device alone, so what was superseded is never sent; what it holds, the log has too, so a crash loses nothing.
 *
 *   take() --> ready --advance()--> in the air --published()--> due, later --> ready, until the device has reported
 *                ^  '--> parked while presence says offline                        or something newer comes
 *                '-----------'-- deviceOnline()
 */
import type { ShadowDocument } from "../../processors/formats/shadow.ts";
import { pauseMs } from "../../eventlog/back-off.ts";
import type { PublishOutcome } from "../commands/open-command.ts";
import { DueHeap } from "../due-heap.ts";
import { PendingDelta } from "./pending-delta.ts";

export interface DeltaBounds {
  /** Devices of a partition that are waited for; of others, what is new is not sent until they ask. */
  readonly maxPending: number;
  /** Bytes of their shadows; likewise. */
  readonly maxPendingBytes: number;
  /** Times a delta is sent to a device that says nothing; then only when it is back, or asks, or something changes. */
  readonly maxAttempts: number;
  /** First pause after a delta reached nobody, ms; doubles up to `retryMaxMs`. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** First pause after the broker took a delta, ms; doubles likewise. The device needs time to do it and to report. */
  readonly ackRetryMinMs: number;
  readonly ackRetryMaxMs: number;
}

export const DELTA_BOUNDS: DeltaBounds = {
  maxPending: 50_000,
  maxPendingBytes: 32 * 1024 * 1024,
  maxAttempts: 16,
  retryMinMs: 1_000,
  retryMaxMs: 60_000,
  ackRetryMinMs: 30_000,
  ackRetryMaxMs: 3_600_000,
};

export interface DeltaBookParts {
  readonly bounds: DeltaBounds;
  /** Its outcome is awaited. */
  readonly publish: (delta: PendingDelta) => void;
  readonly isOffline: (deviceKey: string) => boolean;
  /** 0 to 1, for the pauses. */
  readonly random: () => number;
}

export class DeltaBook {
  readonly #parts: DeltaBookParts;
  readonly #pending = new Map<string, PendingDelta>();
  readonly #due = new DueHeap<PendingDelta>();
  readonly #ready = new Set<PendingDelta>();
  #bytes = 0;
  /** Deltas that there was no room for. */
  overflow = 0;
  /** Publications that the broker refused. */
  refused = 0;

  constructor(parts: DeltaBookParts) {
    this.#parts = parts;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  get readyCount(): number {
    return this.#ready.size;
  }

  /** When advance() has something to do whatever else happens, epoch ms. */
  get nextDueTs(): number {
    return this.#due.peek()?.dueTs ?? Number.POSITIVE_INFINITY;
  }

  /** A record of the log, in its order. Undefined: nothing is known of the shadow any more. `asked`: the device did, just now. */
  take(key: string, document: ShadowDocument | undefined, asked: boolean, bytes: number): void {
    const known = this.#pending.get(key);
    if (document !== undefined && known?.document.version === document.version && !asked) return;
    if (known !== undefined) this.#remove(known);
    if (document === undefined || (document.delta === undefined && !asked)) return;
    const { maxPending, maxPendingBytes } = this.#parts.bounds;
    if (this.#pending.size >= maxPending || this.#bytes + bytes > maxPendingBytes) {
      this.overflow++;
      return;
    }
    const delta = new PendingDelta(key, document, asked, bytes);
    this.#pending.set(key, delta);
    this.#bytes += bytes;
    this.#ready.add(delta);
  }

  /** It came back: whatever became of earlier sendings, it gets what there is. */
  deviceOnline(key: string): void {
    const delta = this.#pending.get(key);
    if (delta === undefined) return;
    delta.attempts = 0;
    delta.inAir = 0;
    this.#due.remove(delta);
    this.#ready.add(delta);
  }

  /** What is due by now is ready; then up to `room` ready ones are sent. */
  advance(now: number, room: number): void {
    for (let delta = this.#due.peek(); delta !== undefined && delta.dueTs <= now; delta = this.#due.peek()) {
      this.#due.remove(delta);
      this.#ready.add(delta);
    }
    let left = room;
    for (const delta of this.#ready) {
      if (left <= 0) return;
      this.#ready.delete(delta);
      // Parked: deviceOnline() finds it. One that asks is there, whatever presence has heard.
      if (!delta.asked && this.#parts.isOffline(delta.key)) continue;
      left--;
      delta.attempts++;
      delta.inAir = delta.attempts;
      this.#parts.publish(delta);
    }
  }

  /** Of a publication that is not awaited any more (superseded meanwhile, sent again) it is no news. */
  published(delta: PendingDelta, attempt: number, outcome: PublishOutcome, now: number): void {
    if (this.#pending.get(delta.key) !== delta || delta.inAir !== attempt) return;
    delta.inAir = 0;
    const { retryMinMs, retryMaxMs, ackRetryMinMs, ackRetryMaxMs, maxAttempts } = this.#parts.bounds;
    switch (outcome.kind) {
      case "not-written":
        delta.attempts--;
        this.#ready.add(delta);
        return;
      case "refused":
        this.refused++;
        break;
      case "confirmed":
      case "written":
        if (delta.document.delta === undefined) return this.#remove(delta);
        break;
      case "no-subscriber":
      case "unknown":
        break;
    }
    if (delta.attempts >= maxAttempts) return;
    const isAtBroker = outcome.kind !== "no-subscriber" && outcome.kind !== "unknown";
    const [min, max] = isAtBroker ? [ackRetryMinMs, ackRetryMaxMs] : [retryMinMs, retryMaxMs];
    this.#due.schedule(delta, now + pauseMs(delta.attempts, min, max, this.#parts.random));
  }

  #remove(delta: PendingDelta): void {
    this.#pending.delete(delta.key);
    this.#bytes -= delta.bytes;
    this.#due.remove(delta);
    this.#ready.delete(delta);
  }
}
