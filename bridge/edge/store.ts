/**
 * What the gateway has and the uplink has not: on disk, in order, bounded by size and age.
 *
 *   offer() -> fills a set while the one before is being written -> durable -> "stored"
 *   next() -> sent upstream -> forwarded() -> deleted, soon
 *
 *   open --write fails--> failed --room on the disk--> opened anew --> open;   any --close--> closed
 *
 * After a write that failed nothing is written to that log again: level may leave half a record behind, and what followed it could
 * not be read after a restart. Opened anew, it reads what is whole and goes on behind that.
 */
import { mkdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import { DiskSpace } from "./disk-space.ts";
import { GAP_HEADER, GapTally, gapHeaders, type Gap, type GapReason } from "./gap.ts";
import { storedMessages, type DeviceMessage, type MessageRecords, type StoredMessage } from "./message.ts";
import type { StoreSettings } from "./settings.ts";
import { STORE, StoreLog } from "./store-log.ts";

/** `dropped`: acknowledged and gone, as the policy says. `refused`: not acknowledged. */
export type Outcome = "stored" | "dropped" | "refused";
export type Done = (outcome: Outcome) => void;

export interface StoreStats {
  readonly state: "open" | "failed" | "closed";
  /** Taking nothing because the disk is nearly full. */
  readonly diskFull: boolean;
  /** Not forwarded yet. */
  readonly messages: number;
  readonly bytes: number;
  /** Receive time of the oldest of them, epoch ms; undefined: there are none. */
  readonly oldestTs: number | undefined;
  readonly stored: number;
  readonly forwarded: number;
  readonly refused: number;
  readonly dropped: Readonly<Record<GapReason, number>>;
}

export interface StoreOptions {
  readonly gatewayId: string;
  readonly settings: StoreSettings;
  readonly records: MessageRecords;
  readonly logger: Logger;
  /** Epoch ms. */
  readonly now?: () => number;
}

/** Waiting for the write before theirs: above it hasRoom is false, and connections are not read. Bytes. */
const MAX_FILLING_BYTES = 4 * 1024 * 1024;
const BATCH_BYTES = 512 * 1024;
/** What a record takes beside payload, key and topic: headers and framing, measured about 220 bytes. */
const RECORD_OVERHEAD_BYTES = 256;
/** Between two looks at free space, age, and what is to be deleted. ms. */
const TICK_MS = 1_000;
/** Room is made for this share of maxBytes at once. */
const ROOM_SHARE = 20;
/** Deleted before the disk is given back what it took: rewriting costs about 10 ms a MiB. Bytes. */
const RECLAIM_BYTES = 32 * 1024 * 1024;
/** Between two markers of what dropNewest and the uplink gave up. ms. */
const MARKER_INTERVAL_MS = 60_000;

class Filling {
  readonly records = new RecordSet(BATCH_BYTES);
  readonly dones: Done[] = [];
  newestTs = 0;
}

export class Store {
  readonly #options: StoreOptions;
  readonly #now: () => number;
  #log: StoreLog | undefined;
  #state: "open" | "failed" | "closed" = "open";
  readonly #space: DiskSpace;
  #filling = new Filling();
  #spare = new Filling();
  #writingBytes = 0;
  #writing = false;
  /** What changes the log, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #ticking: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #roomListeners: (() => void)[] = [];
  #position = 0;
  #end = 0;
  #deletedTo = 0;
  #epoch = 0;
  #deletedBytes = 0;
  #reclaiming = false;
  #stored = 0;
  #forwarded = 0;
  #refused = 0;
  readonly #dropped: Record<GapReason, number> = { full: 0, expired: 0, refused: 0 };
  readonly #tallies = [new GapTally("full"), new GapTally("refused")] as const;
  #markedAt = 0;

  private constructor(options: StoreOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const { dir, minFreeBytes } = options.settings;
    this.#space = new DiskSpace(dir, minFreeBytes, options.logger);
  }

  /** Rejects with LogError `unavailable` when another process has the folder, or it cannot be written. */
  static async open(options: StoreOptions): Promise<Store> {
    const store = new Store(options);
    await mkdir(options.settings.dir, { recursive: true });
    await store.#open();
    await store.#space.look();
    store.#schedule();
    return store;
  }

  /** False: what is offered has to wait for the disk; see whenRoom(). */
  get hasRoom(): boolean {
    return this.#filling.records.byteLength < Math.min(MAX_FILLING_BYTES, this.#options.settings.maxBytes / 4);
  }

  /** Calls back once, soon after there is room again. */
  whenRoom(listener: () => void): void {
    this.#roomListeners.push(listener);
  }

  /** Changes whenever what next() gave out before does not hold any more. */
  get epoch(): number {
    return this.#epoch;
  }

  /** `done` is called once, in the order of the offers. The payload is copied before this returns. */
  offer(message: DeviceMessage, done: Done): void {
    const { records } = this.#options;
    const origin = records.originOf(message.topic);
    const now = this.#now();
    const bytes = message.payload.length + message.topic.length + (origin.key?.length ?? 0) + RECORD_OVERHEAD_BYTES;
    const verdict = this.#verdict(bytes);
    if (verdict === "dropped") this.#tallies[0].add(origin.device, message.payload.length, now);
    const filling = this.#filling;
    if (verdict === "stored") {
      const { key } = origin;
      const { payload } = message;
      filling.records
        .partition(STORE.topic, STORE.partition)
        .append(now, key, 0, key?.length ?? 0, payload, 0, payload.length, records.headersOf(message, origin, now));
      filling.newestTs = now;
      filling.dones.push(done);
      this.#kick();
    } else {
      if (verdict === "refused") this.#refused++;
      else this.#dropped.full++;
      // behind those that are being written, so that each hears in its turn
      if (filling.dones.length > 0) filling.dones.push(() => done(verdict));
      else void this.#turn.then(() => done(verdict));
    }
  }

  /** What comes next, [] after `waitMs`. */
  async next(waitMs: number): Promise<StoredMessage[]> {
    const epoch = this.#epoch;
    const log = this.#log;
    if (log === undefined) await delay(waitMs);
    const batches = (await log?.read(waitMs)) ?? [];
    if (epoch !== this.#epoch) return [];
    return batches.flatMap(storedMessages);
  }

  /** Ends a next() that waits. */
  wakeUp(): void {
    this.#log?.wakeUp();
  }

  /** Everything before `offset` is durable upstream. */
  forwarded(offset: number): void {
    if (offset <= this.#position) return;
    this.#forwarded += offset - this.#position;
    this.#position = offset;
  }

  /** The upstream will never take it; forwarded() passes over it. */
  gaveUp({ key, value, receivedTs }: StoredMessage): void {
    this.#dropped.refused++;
    this.#tallies[1].add(key?.toString(), value.length, receivedTs);
  }

  /** next() begins again behind what is forwarded. */
  rewind(): void {
    this.#epoch++;
    this.#log?.readFrom(this.#position);
  }

  stats(): StoreStats {
    const segments = this.#log?.segments;
    return {
      state: this.#state,
      diskFull: this.#space.isFull,
      messages: this.#end - this.#position,
      bytes: segments?.bytes ?? 0,
      oldestTs: this.#end > this.#position ? segments?.oldest?.oldestTs : undefined,
      stored: this.#stored,
      forwarded: this.#forwarded,
      refused: this.#refused,
      dropped: { ...this.#dropped },
    };
  }

  /** Writes what was offered, saves the position, closes. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#ticking;
    if (this.#state === "open") {
      await this.#exclusive(() => this.#writeFilling());
      await this.#exclusive(() => this.#markTallies());
      await this.#exclusive(() => this.#deleteForwarded());
    }
    this.#state = "closed";
    await this.#log?.close();
    this.#log = undefined;
  }

  #verdict(bytes: number): Outcome {
    const { maxBytes, onFull } = this.#options.settings;
    if (this.#state !== "open" || this.#space.isFull) return "refused";
    if (onFull === "dropOldest") return "stored";
    const held = (this.#log?.segments.bytes ?? 0) + this.#writingBytes + this.#filling.records.byteLength;
    if (held + bytes <= maxBytes) return "stored";
    return onFull === "refuse" ? "refused" : "dropped";
  }

  #kick(): void {
    if (this.#writing || this.#filling.dones.length === 0) return;
    this.#writing = true;
    void this.#exclusive(() => this.#writeFilling()).then(() => {
      this.#writing = false;
      this.#kick();
    });
  }

  /** Never rejects: a failure is this store's, and refuses what was to be written. */
  async #writeFilling(): Promise<void> {
    const filling = this.#filling;
    this.#filling = this.#spare;
    this.#writingBytes = filling.records.byteLength;
    let outcome: Outcome = "stored";
    const count = filling.records.recordCount;
    try {
      if (this.#state !== "open" || this.#log === undefined) outcome = "refused";
      else if (count > 0) {
        if (this.#options.settings.onFull === "dropOldest") await this.#makeRoom(this.#log, this.#writingBytes);
        this.#end = await this.#log.write(filling.records, filling.newestTs);
        this.#stored += count;
      }
    } catch (error) {
      this.#fail(error);
      outcome = "refused";
    }
    if (outcome === "refused") this.#refused += count;
    this.#writingBytes = 0;
    filling.records.clear();
    const dones = filling.dones.splice(0);
    this.#spare = filling;
    for (const done of dones) done(outcome);
    if (this.hasRoom) for (const listener of this.#roomListeners.splice(0)) listener();
  }

  async #makeRoom(log: StoreLog, bytes: number): Promise<void> {
    const { maxBytes } = this.#options.settings;
    const over = log.segments.bytes + bytes - maxBytes;
    if (over <= 0) return;
    const end = log.segments.endOfOldest(over + maxBytes / ROOM_SHARE);
    if (end !== undefined) await this.#drop(log, end, "full");
  }

  async #expire(): Promise<void> {
    const end = this.#log?.segments.endOfOlder(this.#now() - this.#options.settings.maxAgeMs);
    if (end !== undefined && this.#log !== undefined) await this.#drop(this.#log, end, "expired");
  }

  /** The marker first: a crash in between tells of messages that come after all, and never the other way round. */
  async #drop(log: StoreLog, end: number, reason: GapReason): Promise<void> {
    const from = this.#position;
    if (end > from) {
      const tally = new GapTally(reason);
      for await (const { records } of log.range(from, end)) {
        for (let i = 0; i < records.count && records.offsets[i] < end; i++) {
          const isGap = records.headers(i).some(({ key }) => key === GAP_HEADER);
          if (isGap) tally.merge(JSON.parse(String(records.value(i))) as Gap);
          else {
            tally.add(records.key(i)?.toString(), records.valueEnds[i] - records.valueStarts[i], records.timestamps[i]);
            this.#dropped[reason]++;
          }
        }
      }
      await this.#mark(log, tally);
      this.#position = Math.max(this.#position, end);
      await this.#deleteForwarded();
    } else await log.deleteBefore(end);
    this.rewind();
  }

  async #mark(log: StoreLog, tally: GapTally): Promise<void> {
    const gap = tally.take(this.#options.gatewayId);
    if (gap === undefined) return;
    const { devices, ...told } = gap;
    this.#options.logger.warn({ ...told, devices: Object.keys(devices).length }, "messages given up");
    const value = Buffer.from(JSON.stringify(gap));
    const now = this.#now();
    const marker = new RecordSet(BATCH_BYTES);
    marker.partition(STORE.topic, STORE.partition).append(now, null, 0, 0, value, 0, value.length, gapHeaders(gap));
    this.#end = await log.write(marker, now);
  }

  async #markTallies(): Promise<void> {
    if (this.#log === undefined) return;
    this.#markedAt = performance.now();
    for (const tally of this.#tallies) await this.#mark(this.#log, tally);
  }

  async #deleteForwarded(): Promise<void> {
    const log = this.#log;
    const position = this.#position;
    if (log === undefined || position <= this.#deletedTo) return;
    const before = log.segments.bytes;
    await log.deleteBefore(position);
    this.#deletedTo = position;
    this.#deletedBytes += before - log.segments.bytes;
    if (this.#deletedBytes >= RECLAIM_BYTES && !this.#reclaiming) void this.#reclaim(log);
  }

  /** Beside everything else: reads and writes go on. */
  async #reclaim(log: StoreLog): Promise<void> {
    this.#reclaiming = true;
    this.#deletedBytes = 0;
    try {
      await log.reclaim();
    } catch (error) {
      if (this.#state === "open")
        this.#options.logger.warn({ err: error }, "the disk was not given back what was deleted; tried again later");
    } finally {
      this.#reclaiming = false;
    }
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#ticking = this.#tick().catch((error: unknown) => this.#fail(error));
      void this.#ticking.then(() => {
        if (this.#state !== "closed") this.#schedule();
      });
    }, TICK_MS);
  }

  async #tick(): Promise<void> {
    await this.#space.look();
    if (this.#state === "failed" && !this.#space.isFull) await this.#exclusive(() => this.#recover());
    if (this.#state !== "open") return;
    await this.#exclusive(() => this.#expire());
    await this.#exclusive(() => this.#deleteForwarded());
    if (performance.now() - this.#markedAt >= MARKER_INTERVAL_MS) await this.#exclusive(() => this.#markTallies());
  }

  #fail(error: unknown): void {
    this.#options.logger.error({ err: error }, "the store cannot be written: messages are refused until it can");
    if (this.#state === "open") this.#state = "failed";
  }

  /** What was not acknowledged may be found or not; what was acknowledged is. */
  async #recover(): Promise<void> {
    const { logger } = this.#options;
    try {
      await this.#log?.close();
      this.#log = undefined;
      await this.#open();
      this.#state = "open";
      logger.info({ messages: this.#end - this.#position }, "the store can be written again");
    } catch (error) {
      logger.error({ err: error }, "the store cannot be opened; tried again");
    }
  }

  async #open(): Promise<void> {
    const { settings, logger } = this.#options;
    const log = await StoreLog.open(settings.dir, { fsync: settings.fsync, maxAgeMs: settings.maxAgeMs, logger });
    this.#log = log;
    this.#position = Math.max(this.#position, log.start);
    this.#deletedTo = log.start;
    this.#end = Math.max(log.end, this.#position);
    this.rewind();
  }

  /** In turn; a failure is the store's. */
  #exclusive(work: () => Promise<void>): Promise<void> {
    const run = this.#turn.then(work).catch((error: unknown) => this.#fail(error));
    this.#turn = run;
    return run;
  }
}
