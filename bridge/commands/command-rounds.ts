/**
 * The lanes of a service and what one round does with them:
 *
 *   read records -> books -> one transaction (statuses + positions) -> publish -> outcomes, in the next round
 *
 * Nothing is published before the transaction that says so is committed. After an error forget() drops everything, and the next
 * round brings the lanes up from the log, as after a crash: one path for both.
 */
import type { Logger } from "pino";
import type { CommittedOffset, EventLog, FetchedBatch, GroupMember, LogReader, PartitionOffset, TxnWriter } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import type { CommandStatus } from "../../processors/formats/commands.ts";
import type { OfflineDevices } from "../presence/offline-devices.ts";
import type { CommandLink } from "./command-link.ts";
import { commandMessage, type MessageFormat } from "./command-message.ts";
import type { CommandBounds } from "./command-settings.ts";
import { newCounters } from "./command-stats.ts";
import { Journal } from "./journal.ts";
import type { Lane } from "./lane.ts";
import { isLaneBusy, openLane } from "./lane-opener.ts";
import type { OpenCommand, PublishOutcome } from "./open-command.ts";

export interface RoundsOptions {
  readonly log: EventLog;
  readonly reader: LogReader;
  readonly writer: TxnWriter;
  readonly group: GroupMember;
  readonly link: CommandLink;
  readonly topics: { readonly commands: string; readonly status: string; readonly acks: string; readonly dlq: string };
  readonly laneCount: number;
  readonly dlqPartitions: number;
  readonly format: MessageFormat;
  readonly bounds: CommandBounds;
  /** Absent: every device is taken for being there. */
  readonly offline?: OfflineDevices;
  readonly logger: Logger;
}

interface Outcome {
  readonly lane: Lane;
  readonly open: OpenCommand;
  readonly attempt: number;
  readonly outcome: PublishOutcome;
}

/** Reading goes on when so much of the bound on open commands is free again: not at every command that ends. */
const GO_ON_BELOW = 0.9;

export class CommandRounds {
  readonly counters = newCounters();
  readonly #options: RoundsOptions;
  readonly #journal: Journal;
  readonly #lanes = new Map<number, Lane>();
  #assigned: readonly number[] = [];
  #publications: { readonly lane: Lane; readonly open: OpenCommand }[] = [];
  #outcomes: Outcome[] = [];
  #isHeldBack = false;
  /** Which lane may publish first: it moves on, so that none waits for ever. */
  #turn = 0;

  constructor(options: RoundsOptions) {
    this.#options = options;
    this.#journal = new Journal({ ...options.topics, dlqPartitions: options.dlqPartitions });
  }

  get assigned(): readonly number[] {
    return this.#assigned;
  }

  get lanes(): readonly Lane[] {
    return [...this.#lanes.values()];
  }

  /** Epoch ms before which a round without news has nothing to do; 0 when it has. */
  get nextDueTs(): number {
    const lanes = this.lanes;
    const isBusy = this.#outcomes.length > 0 || lanes.length < this.#assigned.length;
    if (isBusy || (this.#options.link.room > 0 && lanes.some(({ book }) => book.readyCount > 0))) return 0;
    return lanes.reduce((least, { book }) => Math.min(least, book.nextDueTs), Number.POSITIVE_INFINITY);
  }

  /** What this service carries out from now on. Never during a round. */
  assign(partitions: readonly number[]): void {
    this.#assigned = partitions;
    for (const partition of this.#lanes.keys()) if (!partitions.includes(partition)) this.#lanes.delete(partition);
    this.#options.reader.assign(this.#positions());
  }

  /** Presence says that a device is there again. True when something waits for it. */
  deviceBack(deviceKey: string): boolean {
    const key = Buffer.from(deviceKey);
    return this.#lanes.get(partitionForKey(key, 0, key.length, this.#options.laneCount))?.book.deviceBack(deviceKey) ?? false;
  }

  /** Nothing in memory can be trusted. Never during a round. */
  forget(): void {
    this.#lanes.clear();
    this.#journal.clear();
    this.#publications = [];
    this.#outcomes = [];
    this.#options.reader.assign([]);
  }

  /** Rejects with LogErrors; then forget(), and open the writer. */
  async round(batches: readonly FetchedBatch[]): Promise<void> {
    const moved = this.#take(batches, Date.now());
    await this.#openLanes();
    const now = Date.now();
    this.#takeOutcomes(now);
    this.#advance(now);
    await this.#commit(moved);
    for (const { lane, open } of this.#publications.splice(0)) this.#publish(lane, open);
    this.#holdBack();
  }

  /** After the connection has ended: what the broker still answered. */
  async lastRound(): Promise<void> {
    this.#takeOutcomes(Date.now());
    await this.#commit(false);
  }

  /** True when positions have moved. Batches of lanes that were given up meanwhile are others' to read. */
  #take(batches: readonly FetchedBatch[], now: number): boolean {
    for (const batch of batches) {
      const lane = this.#lanes.get(batch.partition);
      if (lane === undefined) continue;
      if (batch.topic === this.#options.topics.acks) lane.takeAcks(batch, now, this.counters);
      else {
        lane.takeCommands(batch, now, this.counters, (unreadable) => {
          this.counters.deadLetters++;
          this.#journal.deadLetter(lane.partition, unreadable, now);
        });
      }
    }
    return batches.length > 0;
  }

  async #openLanes(): Promise<void> {
    const missing = this.#assigned.filter((partition) => !this.#lanes.has(partition));
    if (missing.length === 0) return;
    const { logger, reader } = this.#options;
    for (const partition of missing) {
      const output = {
        status: (status: CommandStatus) => this.#say(partition, status),
        publish: (open: OpenCommand) => {
          const lane = this.#lanes.get(partition);
          if (lane !== undefined) this.#publications.push({ lane, open });
        },
      };
      try {
        const isOffline = (deviceKey: string): boolean => this.#options.offline?.isOffline(deviceKey) ?? false;
        const lane = await openLane(partition, { ...output, isOffline }, this.#options);
        this.#lanes.set(partition, lane);
        logger.info({ partition, open: lane.book.openCount }, "carrying out a partition's commands");
      } catch (error) {
        if (!isLaneBusy(error)) throw error;
        logger.info({ partition }, "the last owner of a partition's commands has a transaction open; trying again");
      }
    }
    reader.assign(this.#positions());
    this.#isHeldBack = false;
  }

  #say(partition: number, status: CommandStatus): void {
    this.counters.statuses[status.state]++;
    this.#journal.status(partition, status);
  }

  #takeOutcomes(now: number): void {
    for (const { lane, open, attempt, outcome } of this.#outcomes.splice(0)) {
      // A lane that was given up, or brought up anew, knows nothing of it.
      if (this.#lanes.get(lane.partition) === lane) lane.book.published(open, attempt, outcome, now);
    }
  }

  #advance(now: number): void {
    const { link } = this.#options;
    const lanes = this.lanes;
    this.#turn++;
    for (let i = 0; i < lanes.length; i++) {
      lanes[(this.#turn + i) % lanes.length].book.advance(now, Math.max(0, link.room - this.#publications.length));
    }
  }

  async #commit(moved: boolean): Promise<void> {
    if (this.#journal.isEmpty && !moved) return;
    const { writer, group } = this.#options;
    // All of them, moved or not: stable offsets are how the next owner knows that nothing of ours is still open.
    const offsets: CommittedOffset[] = this.#positions();
    if (offsets.length === 0) return;
    await this.#journal.commit(writer, offsets, group);
  }

  #publish(lane: Lane, open: OpenCommand): void {
    const { link, format, reader } = this.#options;
    const attempt = open.attempts;
    link.publish(commandMessage(open, format, Date.now()), (outcome) => {
      this.#outcomes.push({ lane, open, attempt, outcome });
      reader.wakeup();
    });
  }

  /** Reads no more commands while too many are open; acknowledgements always, for they end commands. */
  #holdBack(): void {
    const { bounds, reader, topics } = this.#options;
    let share = 0;
    for (const { book } of this.#lanes.values()) share += Math.max(book.openCount / bounds.maxOpen, book.openBytes / bounds.maxOpenBytes);
    const commands = [...this.#lanes.keys()].map((partition) => ({ topic: topics.commands, partition }));
    if (!this.#isHeldBack && share >= 1) reader.pause(commands);
    else if (this.#isHeldBack && share < GO_ON_BELOW) reader.resume(commands);
    this.#isHeldBack = this.#isHeldBack ? share >= GO_ON_BELOW : share >= 1;
  }

  #positions(): PartitionOffset[] {
    const { commands, acks } = this.#options.topics;
    return this.lanes.flatMap(({ partition, commandsPosition, acksPosition }) => [
      { topic: commands, partition, offset: commandsPosition },
      { topic: acks, partition, offset: acksPosition },
    ]);
  }
}
