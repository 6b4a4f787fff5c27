/**
 * Tells devices what they must change: follows `iot.shadows`, and publishes the newest delta of each device that is not as desired.
 * It has no state of its own: each partition it is given it reads from the beginning (a compacted topic: a shadow a device), and only
 * when it has read to the end does it send. So after a crash deltas are sent again, and none that was superseded ever is. It also tells
 * devices that a report of theirs was refused, once and as far as there is room: nothing depends on that.
 *
 *   new --start--> running --stop--> stopped
 *                     '--(the log fails for good)--> failed: `finished` rejects
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { LogError } from "../../eventlog/errors.ts";
import type { EventLog, FetchedBatch, GroupMember, LogReader, PartitionOffset } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { CommandLink } from "../commands/command-link.ts";
import type { PublishOutcome } from "../commands/open-command.ts";
import { BridgeError } from "../errors.ts";
import { resolveMqttSettings, type MqttSettings } from "../ingress-settings.ts";
import { laneMember } from "../lane-member.ts";
import type { OfflineDevices } from "../presence/offline-devices.ts";
import { Turns } from "../turns.ts";
import { DeltaBook, type DeltaBounds } from "./delta-book.ts";
import { deltaMessage } from "./delta-message.ts";
import type { PendingDelta } from "./pending-delta.ts";
import { rejectionMessage, type Rejection } from "./rejection.ts";
import { RejectionQueue } from "./rejection-queue.ts";
import { ShadowLane } from "./shadow-lane.ts";
import { registerShadowMetrics, type ShadowStats } from "./shadow-stats.ts";

export interface ShadowServiceOptions {
  /** Of the connection that deltas go out on; its client id must be its own. */
  readonly mqtt: MqttSettings;
  /** Not closed by the service. */
  readonly log: EventLog;
  /** `iot.shadows`. */
  readonly topic: string;
  readonly groupId: string;
  /** Stable and different for each service. */
  readonly serviceId: string;
  /** After so long without a sign of life its partitions go to others. */
  readonly sessionTimeoutMs: number;
  readonly bounds: DeltaBounds;
  /** Absent: every device is taken for being there. Started, and not closed by the service. */
  readonly offline?: OfflineDevices;
  readonly logger: Logger;
  readonly registry: Registry;
}

/** Longest sleep of an idle loop; everything that happens wakes it. */
const MAX_POLL_MS = 1_000;
const READ_BYTES = 4 * 1024 * 1024;
const RETRY_MS = 500;
/** Whoever was away for longer (frozen, suspended) may have been replaced: the log's end is looked for before anything is sent. */
const MAX_ROUND_GAP_MS = 2_000;
const STOP_ANSWERS_MS = 1_000;

interface Parts {
  readonly reader: LogReader;
  readonly group: GroupMember;
  readonly link: CommandLink;
  readonly laneCount: number;
}

interface Outcome {
  readonly lane: ShadowLane;
  readonly delta: PendingDelta;
  readonly attempt: number;
  readonly outcome: PublishOutcome;
}

export class ShadowService {
  readonly #options: ShadowServiceOptions;
  readonly #lanes = new Map<number, ShadowLane>();
  readonly #finished = Promise.withResolvers<void>();
  #assigned: readonly number[] = [];
  #outcomes: Outcome[] = [];
  readonly #rejections = new RejectionQueue();
  #published = 0;
  #parts: Parts | undefined;
  #running: Promise<void> | undefined;
  #roundAt = 0;
  #stopping = false;
  #failure: Error | undefined;
  /** One at a time: a round, or a change of the lanes. */
  readonly #turns = new Turns();

  constructor(options: ShadowServiceOptions) {
    this.#options = options;
    this.#finished.promise.catch(() => undefined); // for those who never ask for `finished`
    registerShadowMetrics(options.registry, () => this.stats());
  }

  /** Resolves after stop(); rejects when the service gave up. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  stats(): ShadowStats {
    const sum = (of: (book: DeltaBook) => number): number => [...this.#lanes.values()].reduce((all, { book }) => all + of(book), 0);
    return {
      connected: this.#parts?.link.connected ?? false,
      lanes: this.#lanes.size,
      published: this.#published,
      pending: sum((book) => book.pendingCount),
      overflow: sum((book) => book.overflow),
      refused: sum((book) => book.refused),
      rejectionsTold: this.#rejections.told,
      rejectionsUntold: this.#rejections.untold,
    };
  }

  /** A report that got no further than the ingress: its device is told, if there is room. */
  tell(rejection: Rejection): void {
    if (this.#stopping) return;
    this.#rejections.add(rejection, Date.now());
    this.#parts?.reader.wakeup();
  }

  /** Resolves when it is a member of its group. Rejects with LogErrors. */
  async start(): Promise<void> {
    const { log, topic, mqtt, logger, offline } = this.#options;
    const laneCount = await log.partitionCount(topic);
    const reader = log.reader({ isolation: "read_committed", maxBufferedBytes: READ_BYTES });
    const link = new CommandLink(resolveMqttSettings(mqtt), logger, () => reader.wakeup());
    const parts = { reader, link, laneCount, group: this.#member(laneCount) };
    this.#parts = parts;
    offline?.onBack((key) => {
      const bytes = Buffer.from(key);
      this.#lanes.get(partitionForKey(bytes, 0, bytes.length, laneCount))?.book.deviceOnline(key);
      if (!this.#stopping) reader.wakeup();
    });
    await parts.group.start();
    if (this.#stopping) throw new BridgeError("stopped", "stopped while starting");
    link.start();
    this.#running = this.#run(parts);
  }

  /** Sends nothing more. What devices have not reported is sent again by whoever is next. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#parts === undefined) return;
    const { reader, group, link } = this.#parts;
    reader.wakeup();
    await this.#running;
    await link.stop(STOP_ANSWERS_MS);
    await group.leave();
    await reader.close();
    this.#finished.resolve();
  }

  #member(laneCount: number): GroupMember {
    const { log, groupId, serviceId, sessionTimeoutMs, topic, logger } = this.#options;
    const group = { name: "sluice-shadow", laneCount, groupId, instanceId: serviceId, topics: [topic], sessionTimeoutMs };
    return laneMember(
      log,
      group,
      {
        held: () => this.#assigned,
        assigned: async (lanes) => {
          const givesUp = this.#assigned.some((lane) => !lanes.includes(lane));
          await this.#turns.run(async () => this.#assign(lanes));
          return givesUp;
        },
        lost: () => this.#turns.run(async () => this.#assign([])),
        failed: (error) => this.#fail(error),
      },
      logger,
    );
  }

  #assign(lanes: readonly number[]): void {
    this.#assigned = lanes;
    for (const partition of this.#lanes.keys()) if (!lanes.includes(partition)) this.#lanes.delete(partition);
    this.#parts?.reader.assign(this.#positions());
    this.#parts?.reader.wakeup();
  }

  async #run(parts: Parts): Promise<void> {
    const { reader } = parts;
    while (!this.#stopping && this.#failure === undefined) {
      try {
        const batches = await reader.poll(this.#waitMs(parts));
        await this.#turns.run(() => this.#round(parts, batches));
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(String(cause));
        if (!(error instanceof LogError) || (error.action === "fatal" && error.code !== "offset-out-of-range")) return this.#fail(error);
        this.#options.logger.warn({ err: error }, "shadows: the log failed; trying again");
        // What is next was deleted, or the topic made anew: from its beginning.
        if (error.code === "offset-out-of-range") await this.#turns.run(async () => this.#lanes.clear());
        await delay(RETRY_MS);
      }
    }
  }

  #waitMs({ link }: Parts): number {
    const lanes = [...this.#lanes.values()];
    const canSend = link.room > 0 && (this.#rejections.size > 0 || lanes.some((lane) => lane.isCurrent && lane.book.readyCount > 0));
    if (canSend || this.#outcomes.length > 0 || lanes.length < this.#assigned.length) return 0;
    const dueTs = lanes.reduce((least, { book }) => Math.min(least, book.nextDueTs), Number.POSITIVE_INFINITY);
    return Math.max(0, Math.min(MAX_POLL_MS, dueTs - Date.now()));
  }

  async #round(parts: Parts, batches: readonly FetchedBatch[]): Promise<void> {
    const { reader, link } = parts;
    // Before lanes are opened: what was read of a lane before it was given up, and given back, is not where it begins now.
    for (const batch of batches) this.#lanes.get(batch.partition)?.take(batch, this.#rejections, Date.now());
    await this.#openLanes(parts);
    if (performance.now() - this.#roundAt > MAX_ROUND_GAP_MS || reader.trouble !== undefined) await this.#findEnds();
    this.#roundAt = performance.now();
    const now = Date.now();
    for (const { lane, delta, attempt, outcome } of this.#outcomes.splice(0)) lane.book.published(delta, attempt, outcome, now);
    for (const lane of this.#lanes.values()) if (lane.isCurrent) lane.book.advance(now, link.room);
    // After the deltas: what devices must do goes before what they did wrong.
    for (const rejection of this.#rejections.take(link.room, now)) link.publish(rejectionMessage(rejection), () => undefined);
  }

  async #openLanes({ reader, link }: Parts): Promise<void> {
    const missing = this.#assigned.filter((partition) => !this.#lanes.has(partition));
    if (missing.length === 0) return;
    const { log, topic, bounds, offline } = this.#options;
    const partitions = missing.map((partition) => ({ topic, partition }));
    const starts = await log.admin.listOffsets(partitions, "earliest", "read_committed");
    const ends = await log.admin.listOffsets(partitions, "latest", "read_committed");
    for (const { partition, offset } of starts) {
      const readTo = ends.find((end) => end.partition === partition)?.offset ?? offset;
      const publish = (delta: PendingDelta): void => this.#publish(link, reader, lane, delta);
      const book = new DeltaBook({ bounds, publish, isOffline: (key) => offline?.isOffline(key) ?? false, random: Math.random });
      const lane = new ShadowLane(partition, book, offset, readTo);
      this.#lanes.set(partition, lane);
    }
    reader.assign(this.#positions());
  }

  async #findEnds(): Promise<void> {
    const { log, topic } = this.#options;
    const partitions = [...this.#lanes.keys()].map((partition) => ({ topic, partition }));
    if (partitions.length === 0) return;
    for (const { partition, offset } of await log.admin.listOffsets(partitions, "latest", "read_committed")) {
      const lane = this.#lanes.get(partition);
      if (lane !== undefined) lane.readTo = offset;
    }
  }

  #publish(link: CommandLink, reader: LogReader, lane: ShadowLane, delta: PendingDelta): void {
    const attempt = delta.attempts;
    this.#published++;
    link.publish(deltaMessage(delta), (outcome) => {
      this.#outcomes.push({ lane, delta, attempt, outcome });
      if (!this.#stopping) reader.wakeup();
    });
  }

  #positions(): PartitionOffset[] {
    const { topic } = this.#options;
    return [...this.#lanes.values()].map(({ partition, position }) => ({ topic, partition, offset: position }));
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined || this.#stopping) return;
    this.#failure = error;
    this.#finished.reject(error);
    this.#parts?.reader.wakeup();
  }
}
