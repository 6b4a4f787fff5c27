/** One stream: what it wants, what it may get per second, and what it missed because it reads too slowly. */
import type { Writable } from "node:stream";
import type { Grant } from "../grant.ts";
import { Sampler } from "./sampler.ts";
import type { StreamEvent, StreamType } from "./event.ts";

/** Unsent bytes of one client: seconds of a busy fleet, and small times the number of clients. What does not fit is dropped and told. */
const MAX_UNSENT_BYTES = 256 * 1024;
/** A client that has taken nothing for so long is gone without saying so. */
const STALLED_MS = 60_000;

export interface StreamFilter {
  readonly types: ReadonlySet<StreamType>;
  readonly tenant: string | undefined;
  /** Of nobody else, whatever is asked for. */
  readonly tenants: Grant["tenants"];
  readonly deviceId: string | undefined;
  /** Normalized and aggregate events per second at most; undefined: all. Alerts are never left out. */
  readonly sample: number | undefined;
  /** A device that sampling leaves alone. */
  readonly focus: string | undefined;
}

export class StreamClient {
  readonly #out: Writable;
  readonly #filter: StreamFilter;
  readonly #sampler: Sampler | undefined;
  readonly #onDropped: (count: number) => void;
  /** Whether its token still opens it. */
  readonly isOpen: () => boolean;
  #untold = 0;
  #dropped = 0;
  /** Since which heartbeat nothing that waits was taken. */
  #waitingSinceMs: number | undefined;
  readonly #onTaken = (): void => {
    this.#waitingSinceMs = undefined;
  };

  constructor(out: Writable, filter: StreamFilter, onDropped: (count: number) => void, isOpen: () => boolean) {
    this.isOpen = isOpen;
    this.#out = out;
    this.#filter = filter;
    this.#sampler = filter.sample === undefined ? undefined : new Sampler(filter.sample);
    this.#onDropped = onDropped;
    out.on("drain", () => this.#tellDropped());
    // Sent at once, so that the client knows that it listens. A second is short for a person and long enough for us.
    out.write("retry: 1000\n\n");
  }

  /** `missed`: records that the feed itself had to leave out for all clients. */
  offer(events: readonly StreamEvent[], missed: number, nowMs: number): void {
    if (missed > 0) this.#drop(missed);
    const wanted = this.#sampled(
      events.filter((event) => this.#wants(event)),
      nowMs,
    );
    this.#tellDropped();
    let room = MAX_UNSENT_BYTES - this.#out.writableLength;
    let text = "";
    let taken = 0;
    for (const { frame } of wanted) {
      const bytes = Buffer.byteLength(frame);
      if (bytes > room) break;
      room -= bytes;
      text += frame;
      taken += 1;
    }
    if (taken > 0) this.#out.write(text, this.#onTaken);
    if (taken < wanted.length) this.#drop(wanted.length - taken);
  }

  /** A comment keeps proxies from closing an idle stream. False when the client has taken nothing for too long: end it. */
  heartbeat(nowMs: number): boolean {
    if (this.#out.writableLength > 0) {
      this.#waitingSinceMs ??= nowMs;
      if (nowMs - this.#waitingSinceMs >= STALLED_MS) return false;
    }
    this.#tellDropped();
    if (this.#out.writableLength < MAX_UNSENT_BYTES) this.#out.write(": heartbeat\n\n", this.#onTaken);
    return true;
  }

  end(): void {
    this.#out.end();
  }

  destroy(): void {
    this.#out.destroy();
  }

  #wants(event: StreamEvent): boolean {
    const { types, tenant, tenants, deviceId } = this.#filter;
    return (
      types.has(event.type) &&
      (tenants === "*" || tenants.has(event.tenant)) &&
      (tenant === undefined || tenant === event.tenant) &&
      (deviceId === undefined || deviceId === event.deviceId)
    );
  }

  #sampled(events: readonly StreamEvent[], nowMs: number): readonly StreamEvent[] {
    if (this.#sampler === undefined) return events;
    return this.#sampler.pick(events, nowMs, (event) => event.type === "alert" || event.deviceId === this.#filter.focus);
  }

  #drop(count: number): void {
    this.#untold += count;
    this.#dropped += count;
    this.#onDropped(count);
  }

  #tellDropped(): void {
    // Half empty: it reads again. Told sooner, a stalled client would be told of each event it misses.
    if (this.#untold === 0 || this.#out.writableLength > MAX_UNSENT_BYTES / 2) return;
    this.#out.write(`event: dropped\ndata: {"count":${this.#untold},"total":${this.#dropped}}\n\n`, this.#onTaken);
    this.#untold = 0;
  }
}
