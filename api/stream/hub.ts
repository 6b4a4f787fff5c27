/**
 * All streams of this worker over one subscription to the feed, which is open while there is a client.
 * Nothing waits here: a record is written to a client's bounded buffer at once or dropped and counted.
 */
import type { Writable } from "node:stream";
import { Counter, Gauge } from "prom-client";
import type { FeedRecord } from "../../runtime/queries.ts";
import { ApiError } from "../errors.ts";
import type { ApiOptions } from "../options.ts";
import { StreamClient, type StreamFilter } from "./client.ts";
import { jsonText, toStreamEvent, type StreamEvent, type StreamType } from "./event.ts";

/** Below the 30 to 60 s after which proxies commonly close an idle connection. */
const HEARTBEAT_MS = 15_000;
/** See ApiOptions.maxStreams. */
const DEFAULT_MAX_STREAMS = 64;

export class StreamHub {
  readonly #options: ApiOptions;
  readonly #typeOf: ReadonlyMap<string, StreamType>;
  readonly #clients = new Set<StreamClient>();
  readonly #open: Gauge;
  readonly #dropped: Counter;
  readonly #undecodable: Counter;
  #subscription: { close(): void } | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(options: ApiOptions) {
    const { registry, topics } = options;
    this.#options = options;
    this.#typeOf = new Map([
      [topics.normalized, "normalized"],
      [topics.aggregates, "aggregate"],
      [topics.alerts, "alert"],
    ]);
    const registers = [registry];
    this.#open = new Gauge({ name: "sluice_http_streams", help: "Open event streams", registers });
    this.#dropped = new Counter({
      name: "sluice_http_stream_dropped_total",
      help: "Events that slow stream clients did not get",
      registers,
    });
    this.#undecodable = new Counter({
      name: "sluice_http_stream_undecodable_total",
      help: "Output records that could not be shown as JSON",
      registers,
    });
  }

  /** Throws ApiError `too-many-streams` or `stream-closing`: call it before anything is sent. */
  checkRoom(): void {
    if (this.#closing) throw new ApiError("stream-closing", "ask again in a moment, or ask another worker", { retryAfterMs: 1000 });
    const max = this.#options.maxStreams ?? DEFAULT_MAX_STREAMS;
    if (this.#clients.size >= max) throw new ApiError("too-many-streams", `${max} streams are open on this worker`, { retryAfterMs: 5000 });
  }

  /** Feeds `out` until it closes, or `isOpen` says, at a heartbeat, that its right is gone. */
  add(out: Writable, filter: StreamFilter, isOpen: () => boolean): void {
    // Gone while it asked: its "close" would never come.
    if (out.destroyed) return;
    const client = new StreamClient(out, filter, (count) => this.#dropped.inc(count), isOpen);
    this.#clients.add(client);
    this.#open.set(this.#clients.size);
    out.on("close", () => this.#remove(client));
    // A reset connection is an ordinary end of a stream; "close" follows.
    out.on("error", () => undefined);
    this.#subscription ??= this.#options.feed.subscribe([...this.#typeOf.keys()], (records, dropped) => this.#onRecords(records, dropped));
    this.#heartbeat ??= setInterval(() => this.#beat(), HEARTBEAT_MS).unref();
  }

  /** Ends all streams; none is added after it. */
  close(): void {
    this.#closing = true;
    for (const client of this.#clients) client.end();
    this.#stopFeed();
  }

  #remove(client: StreamClient): void {
    this.#clients.delete(client);
    this.#open.set(this.#clients.size);
    if (this.#clients.size === 0) this.#stopFeed();
  }

  #stopFeed(): void {
    this.#subscription?.close();
    this.#subscription = undefined;
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }

  #beat(): void {
    const now = Date.now();
    for (const client of this.#clients) {
      if (!client.isOpen() || !client.heartbeat(now)) client.destroy();
    }
  }

  #onRecords(records: readonly FeedRecord[], dropped: number): void {
    const now = Date.now();
    const events = this.#decode(records);
    for (const client of this.#clients) client.offer(events, dropped, now);
  }

  #decode(records: readonly FeedRecord[]): StreamEvent[] {
    const recordText = this.#options.recordText ?? jsonText;
    const events: StreamEvent[] = [];
    for (const record of records) {
      const type = this.#typeOf.get(record.topic);
      const event = type === undefined ? undefined : toStreamEvent(type, record, recordText);
      if (event === undefined) this.#undecodable.inc();
      else events.push(event);
    }
    return events;
  }
}
