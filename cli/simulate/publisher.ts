/** Sends simulated events at their pace. The sink decides how, and how much may be under way. */
import { setTimeout as delay } from "node:timers/promises";
import type { SimulatedEvent } from "./simulated-event.ts";

export interface EventSink {
  /** Starts sending. A promise: wait for it before the next (the sink is full). */
  send(event: SimulatedEvent): Promise<void> | undefined;
  /** Resolves when all that was sent is acknowledged (QoS 0: written to the socket); rejects when some cannot be. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface PublishOptions {
  /** False: as fast as the sink takes it, ignoring `sendAtMs`. */
  readonly paced: boolean;
  /** Stops after this long; what is under way is still finished. */
  readonly durationMs?: number;
  readonly signal?: AbortSignal;
  /** Called about once a second and at the end. */
  readonly onProgress?: (progress: PublishProgress) => void;
}

export interface PublishProgress {
  readonly sent: number;
  readonly elapsedMs: number;
}

const PROGRESS_INTERVAL_MS = 1000;
/** Events sent in one go before sockets and timers get their turn: about a millisecond of work. */
const SLICE_EVENTS = 100;
/** Longest sleep, so that an abort or the end of the duration is seen in time. */
const MAX_SLEEP_MS = 100;

/** Paces against the clock, not from event to event, so a late event does not delay the ones after it. */
export async function publishEvents(events: Iterable<SimulatedEvent>, sink: EventSink, options: PublishOptions): Promise<PublishProgress> {
  const startedAt = performance.now();
  const elapsed = (): number => performance.now() - startedAt;
  const over = (): boolean => options.signal?.aborted === true || (options.durationMs !== undefined && elapsed() >= options.durationMs);
  let sent = 0;
  let firstAtMs: number | undefined;
  let nextProgressMs = PROGRESS_INTERVAL_MS;
  const progress = (): PublishProgress => ({ sent, elapsedMs: elapsed() });
  for (const event of events) {
    firstAtMs ??= event.sendAtMs;
    if (options.paced) {
      for (let waitMs = event.sendAtMs - firstAtMs - elapsed(); waitMs >= 1 && !over(); waitMs = event.sendAtMs - firstAtMs - elapsed()) {
        await delay(Math.min(waitMs, MAX_SLEEP_MS));
      }
    }
    if (over()) break;
    const full = sink.send(event);
    if (full !== undefined) await full;
    if (++sent % SLICE_EVENTS === 0) await new Promise((resolve) => setImmediate(resolve));
    if (elapsed() >= nextProgressMs) {
      nextProgressMs = elapsed() + PROGRESS_INTERVAL_MS;
      options.onProgress?.(progress());
    }
  }
  await sink.flush();
  options.onProgress?.(progress());
  return progress();
}
