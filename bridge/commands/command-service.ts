/**
 * Carries out commands: membership of the group, the loop around command-rounds.ts, and what to do when the log fails.
 *
 *   new --start--> running --stop--> stopped
 *                     '--(the log fails for too long, or for good)--> failed: `finished` rejects
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { LogError } from "../../eventlog/errors.ts";
import type { EventLog, FetchedBatch, GroupMember, LogReader, TxnWriter } from "../../eventlog/port.ts";
import { BridgeError } from "../errors.ts";
import { resolveMqttSettings, type MqttSettings } from "../ingress-settings.ts";
import type { OfflineDevices } from "../presence/offline-devices.ts";
import { CommandLink } from "./command-link.ts";
import type { MessageFormat } from "./command-message.ts";
import { CommandRounds } from "./command-rounds.ts";
import type { CommandBounds } from "./command-settings.ts";
import { newCounters, registerCommandMetrics, type CommandStats } from "./command-stats.ts";
import { laneMember } from "../lane-member.ts";
import { Turns } from "../turns.ts";

export interface CommandServiceOptions {
  /** Of the connection that commands go out on; its client id must be its own. */
  readonly mqtt: MqttSettings;
  /** Not closed by the service. */
  readonly log: EventLog;
  /** The first three have the same number of partitions. */
  readonly topics: { readonly commands: string; readonly status: string; readonly acks: string; readonly dlq: string };
  /** Name of the group, and with `serviceId` of the transactional id. */
  readonly groupId: string;
  /** Stable and different for each service: one that comes back takes its partitions back at once. */
  readonly serviceId: string;
  /** After so long without a sign of life its partitions go to others. */
  readonly sessionTimeoutMs: number;
  readonly format: MessageFormat;
  readonly bounds: CommandBounds;
  /** Absent: every device is taken for being there. Started, and not closed by the service. */
  readonly offline?: OfflineDevices;
  readonly logger: Logger;
  readonly registry: Registry;
}

/** A dead service's open transaction holds its partitions up for so long at the most. */
const TRANSACTION_TIMEOUT_MS = 15_000;
/** Longest sleep of an idle loop; everything that happens wakes it. */
const MAX_POLL_MS = 1_000;
/** Bounds what one round takes from the log, and with it how far the bounds on open commands are overrun. Bytes. */
const READ_BYTES = 1024 * 1024;
/** A log that fails for longer is an operator's: the service ends with the last error. */
const MAX_OUTAGE_MS = 300_000;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 5_000;
/** stop() waits so long for the broker's answers: each would be an unknown outcome otherwise. */
const STOP_ANSWERS_MS = 3_000;

interface Parts {
  readonly reader: LogReader;
  readonly writer: TxnWriter;
  readonly group: GroupMember;
  readonly link: CommandLink;
  readonly rounds: CommandRounds;
}

const NOTHING_YET: CommandStats = { ...newCounters(), connected: false, reconnects: 0, lanes: 0, open: 0, ready: 0, inAir: 0 };

export class CommandService {
  readonly #options: CommandServiceOptions;
  #parts: Parts | undefined;
  #running: Promise<void> | undefined;
  #stopping = false;
  #failure: Error | undefined;
  readonly #finished = Promise.withResolvers<void>();
  /** One at a time: a round, or a change of the lanes. */
  readonly #turns = new Turns();

  constructor(options: CommandServiceOptions) {
    this.#options = options;
    this.#finished.promise.catch(() => undefined); // for those who never ask for `finished`
    registerCommandMetrics(options.registry, () => this.stats());
  }

  /** Resolves after stop(); rejects when the service gave up. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  stats(): CommandStats {
    if (this.#parts === undefined) return NOTHING_YET;
    const { link, rounds } = this.#parts;
    const sum = (of: (lane: (typeof rounds.lanes)[number]) => number): number => rounds.lanes.reduce((all, lane) => all + of(lane), 0);
    return {
      ...rounds.counters,
      connected: link.connected,
      reconnects: link.reconnects,
      inAir: link.inAir,
      lanes: rounds.lanes.length,
      open: sum(({ book }) => book.openCount),
      ready: sum(({ book }) => book.readyCount),
    };
  }

  /** Resolves when it is a member of its group. Rejects with `bad-settings` on topics that do not fit together, or LogErrors. */
  async start(): Promise<void> {
    const { log, topics, groupId, serviceId, mqtt, logger } = this.#options;
    const [laneCount, statuses, acks, dlqPartitions] = await Promise.all(
      [topics.commands, topics.status, topics.acks, topics.dlq].map((topic) => log.partitionCount(topic)),
    );
    if (statuses !== laneCount || acks !== laneCount)
      throw new BridgeError("bad-settings", `${topics.commands}, ${topics.status} and ${topics.acks} must have equally many partitions`);
    const writer = log.txnWriter({ transactionalId: `${groupId}/${serviceId}`, timeoutMs: TRANSACTION_TIMEOUT_MS });
    const reader = log.reader({ isolation: "read_committed", maxBufferedBytes: READ_BYTES, maxPartitionBytes: READ_BYTES / 4 });
    const link = new CommandLink(resolveMqttSettings(mqtt), logger, () => reader.wakeup());
    const group = this.#member(laneCount);
    const rounds = new CommandRounds({ ...this.#options, reader, writer, group, link, laneCount, dlqPartitions });
    const parts = { reader, writer, group, link, rounds };
    this.#parts = parts;
    this.#options.offline?.onBack((deviceKey) => {
      if (rounds.deviceBack(deviceKey) && !this.#stopping) reader.wakeup();
    });
    await writer.open();
    await group.start();
    if (this.#stopping) throw new BridgeError("stopped", "stopped while starting");
    link.start();
    this.#running = this.#run(parts);
  }

  /** Takes nothing more, waits a little for the broker's answers, commits them. What is not done goes on with the next start. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#parts === undefined) return;
    const { reader, writer, group, link, rounds } = this.#parts;
    reader.wakeup();
    await this.#running;
    await link.stop(STOP_ANSWERS_MS);
    if (this.#running !== undefined && this.#failure === undefined) {
      await this.#turns
        .run(() => rounds.lastRound())
        .catch((error: unknown) => {
          this.#options.logger.warn(
            { err: error },
            "commands: the last answers were not committed; their outcome is open at the next start",
          );
        });
    }
    await group.leave();
    await Promise.all([reader.close(), writer.close()]);
    this.#finished.resolve();
  }

  #member(laneCount: number): GroupMember {
    const { log, groupId, serviceId, sessionTimeoutMs, topics, logger } = this.#options;
    const read = [topics.commands, topics.acks];
    const group = { name: "sluice-commands", laneCount, groupId, instanceId: serviceId, topics: read, sessionTimeoutMs };
    return laneMember(
      log,
      group,
      {
        held: () => this.#parts?.rounds.assigned ?? [],
        assigned: (lanes) => this.#assign(lanes),
        lost: async () => void (await this.#assign([])),
        failed: (error) => this.#fail(error),
      },
      logger,
    );
  }

  /** Between rounds only: one that writes for a lane must have ended before another service has it. True when something was given up. */
  #assign(lanes: readonly number[]): Promise<boolean> {
    return this.#turns.run(async () => {
      const parts = this.#parts;
      if (parts === undefined || this.#stopping) return false;
      const givesUp = parts.rounds.assigned.some((lane) => !lanes.includes(lane));
      parts.rounds.assign(lanes);
      parts.reader.wakeup();
      return givesUp;
    });
  }

  async #run(parts: Parts): Promise<void> {
    const { writer, rounds } = parts;
    let failingSince: number | undefined;
    let pauseMs = FIRST_RETRY_MS;
    while (!this.#stopping && this.#failure === undefined) {
      try {
        if (failingSince !== undefined) await writer.open();
        const batches = await this.#poll(parts);
        await this.#turns.run(() => rounds.round(batches));
        failingSince = undefined;
        pauseMs = FIRST_RETRY_MS;
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(String(cause));
        failingSince ??= performance.now();
        rounds.counters.recoveries++;
        // What is in memory is not used any more after this, and a log that was closed could not even be told.
        if (!mayPass(error) || performance.now() - failingSince > MAX_OUTAGE_MS) return this.#fail(error);
        await this.#turns.run(async () => rounds.forget());
        this.#options.logger.warn({ err: error, pauseMs }, "commands: the log failed; going on from what it has");
        await delay(pauseMs);
        pauseMs = Math.min(2 * pauseMs, MAX_RETRY_MS);
      }
    }
  }

  async #poll({ reader, rounds }: Parts): Promise<FetchedBatch[]> {
    const waitMs = Math.max(0, Math.min(MAX_POLL_MS, rounds.nextDueTs - Date.now()));
    try {
      return await reader.poll(waitMs);
    } catch (error) {
      if (!(error instanceof LogError) || error.code !== "offset-out-of-range") throw error;
      const { log, logger } = this.#options;
      const earliest = await log.admin.listOffsets(error.partitions, "earliest", "read_committed");
      logger.error({ err: error, earliest }, "commands: the log has lost what came next; going on with the oldest there is");
      for (const offset of earliest) reader.seek(offset);
      return [];
    }
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined || this.#stopping) return;
    this.#failure = error;
    this.#finished.reject(error);
    this.#parts?.reader.wakeup();
  }
}

/** A takeover by a namesake, a transaction that was aborted, a log that is away: all end by opening the writer again. */
function mayPass(error: Error): boolean {
  return error instanceof LogError && error.action !== "fatal";
}
