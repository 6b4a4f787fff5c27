/**
 * The ingress as a process runs it: one session, or its share of the slots (docs/scale-out.md), with one registry of devices and one
 * set of metrics for all of them.
 *
 *   slot:  (assigned) -> taking --(assigned to another)--> handed over: drained, acknowledged, disconnected; then others may have it
 *                          '-----(frozen, fenced, taken over)--> lost: cut off, nothing more acknowledged; rejoin
 */
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { EventLog } from "../../eventlog/port.ts";
import { ADMISSION_DEFAULTS } from "../admission/settings.ts";
import { BridgeError } from "../errors.ts";
import type { LaneListener } from "../lane-member.ts";
import { registerIngressMetrics } from "../ingress-metrics.ts";
import { Ingress, type IngressOptions } from "../ingress.ts";
import { STATES } from "../presence/formats.ts";
import { DeviceRegistry, type RegistrySettings } from "../registry/device-registry.ts";
import { Turns } from "../turns.ts";
import { FreezeWatch } from "./freeze-watch.ts";
import { FixedMembership, GroupMembership, type GroupSettings, type Membership } from "./membership.ts";
import { addStats, countsOf, NO_COUNTS, type ReplicaStats } from "./replica-stats.ts";
import type { ScaleOutSettings } from "./settings.ts";
import { admissionOf, slotsOf, type Slot } from "./slot.ts";

export interface ReplicaOptions extends Omit<IngressOptions, "devices" | "owns" | "whatNext"> {
  readonly registry: Registry;
  /** Absent: every device may send. */
  readonly deviceRegistry?: RegistrySettings;
  /** Absent: this ingress is the only one of its name. */
  readonly scaleOut?: ScaleOutSettings;
  /** Used by `scaleOut` without `replica`. */
  readonly group: GroupSettings;
  /** Before a slot is asked for again that another client may have. ms. */
  readonly takenOverPauseMs?: number;
}

interface Taken {
  readonly ingress: Ingress;
  /** Resolves when it is subscribed, or was given up before. */
  readonly started: Promise<void>;
}

/** Two replicas that take a session for their own would take it from each other without end. */
const TAKEN_OVER_PAUSE_MS = 5_000;

export class IngressReplica {
  readonly #options: ReplicaOptions;
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #slots: readonly Slot[];
  readonly #membership: Membership;
  readonly #taken = new Map<number, Taken>();
  readonly #finished = Promise.withResolvers<void>();
  /** Changes of the slots, one at a time. */
  readonly #turns = new Turns();
  #devices: DeviceRegistry | undefined;
  #freezeWatch: FreezeWatch | undefined;
  #rejoinTimer: NodeJS.Timeout | undefined;
  #past = NO_COUNTS;
  #slotsTaken = 0;
  #slotsLost = 0;
  #isMember = false;
  #stopping: Promise<void> | undefined;

  /** Throws BridgeError `bad-settings`. */
  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#logger = options.logger;
    const { scaleOut, mqtt, presence, group, log, logger } = options;
    if (scaleOut?.mode === "shared" && presence !== undefined)
      throw new BridgeError("bad-settings", 'presence needs all messages of a device in one place: mqtt.scaleOut.mode "hash" or "filters"');
    const stateTopics = presence === undefined ? [] : STATES.filters();
    this.#slots = scaleOut === undefined ? [] : slotsOf(scaleOut, { ...mqtt, stateTopics });
    const listener: LaneListener = {
      assigned: (slots) => this.#turns.run(() => this.#assign(slots)),
      lost: () => this.#turns.run(() => this.#lose([...this.#taken.keys()])),
      failed: (error) => this.#finished.reject(error),
      held: () => [...this.#taken.keys()],
    };
    const { replica, replicas } = scaleOut ?? { replica: 0, replicas: 1 };
    this.#membership =
      replica === undefined || replicas === undefined
        ? new GroupMembership(group, this.#slots.length, log, logger, listener)
        : new FixedMembership(Math.max(1, this.#slots.length), replica, replicas, listener);
    this.#finished.promise.catch(() => undefined); // for those who never ask for `finished`
    registerIngressMetrics(options.registry, () => this.stats());
  }

  /** Resolves after stop(); rejects when the group let this replica down for good. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /**
   * Resolves when what it has been assigned is subscribed, and at once when that is nothing. Rejects when a topic does not exist
   * (LogError `unknown-topic`) or with BridgeError `registry-full` or `stopped`.
   */
  async start(): Promise<void> {
    const { deviceRegistry, scaleOut, group } = this.#options;
    if (deviceRegistry !== undefined) {
      this.#devices = new DeviceRegistry(deviceRegistry, this.#log, this.#logger);
      await this.#devices.start();
    }
    if (this.#stopping !== undefined) throw new BridgeError("stopped", "stopped while starting");
    // Half of it: the coordinator counts from a heartbeat before the pause.
    if (scaleOut !== undefined) this.#freezeWatch = new FreezeWatch(group.sessionTimeoutMs / 2, (pausedMs) => this.#wasFrozen(pausedMs));
    await this.#membership.start();
    this.#isMember = true;
    await Promise.all([...this.#taken.values()].map(({ started }) => started));
  }

  /** Hands over every slot: drained, acknowledged, disconnected; sessions stay at the broker. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Whether the registry of devices denies `tenant|deviceId`. */
  isDenied(deviceKey: string): boolean {
    return this.#devices?.known.statusOf(deviceKey) === "denied";
  }

  stats(): ReplicaStats {
    const now = [...this.#taken.values()].map(({ ingress }) => ingress.stats()).reduce(addStats, this.#past);
    const known = this.#devices?.known;
    return {
      ...now,
      connected: now.connected && this.#isMember,
      devices: { allowed: known?.allowed ?? 0, denied: known?.denied ?? 0 },
      slots: this.#taken.size,
      slotsTaken: this.#slotsTaken,
      slotsLost: this.#slotsLost,
    };
  }

  async #assign(slots: readonly number[]): Promise<boolean> {
    if (this.#stopping !== undefined) return false;
    const given = [...this.#taken.keys()].filter((slot) => !slots.includes(slot));
    await Promise.all(given.map((slot) => this.#handOver(slot)));
    for (const slot of slots) if (!this.#taken.has(slot)) this.#take(slot);
    return given.length > 0;
  }

  #take(number: number): void {
    const ingress = new Ingress(this.#slots.length === 0 ? this.#aloneOptions() : this.#slotOptions(this.#slots[number]));
    this.#slotsTaken++;
    const started = ingress.start().catch((error: unknown) => {
      // Handed over or lost while it was starting.
      if (error instanceof BridgeError && error.code === "stopped" && this.#stopping === undefined) return;
      this.#finished.reject(error);
      throw error;
    });
    started.catch(() => undefined); // told by `finished`, and by start() where that still runs
    this.#taken.set(number, { ingress, started });
  }

  #aloneOptions(): IngressOptions {
    return { ...this.#options, devices: this.#devices };
  }

  #slotOptions(slot: Slot): IngressOptions {
    const { mqtt, admission = ADMISSION_DEFAULTS } = this.#options;
    const { clientId, topics, stateTopics, formerTopics, owns } = slot;
    return {
      ...this.#aloneOptions(),
      mqtt: { ...mqtt, clientId, topics, stateTopics, formerTopics },
      admission: admissionOf(admission, slot),
      presenceId: mqtt.clientId,
      owns,
      logger: this.#logger.child({ slot: slot.number }),
      whatNext: (takenOver) => this.#whatNext(slot.number, takenOver),
    };
  }

  async #handOver(slot: number): Promise<void> {
    const taken = this.#taken.get(slot);
    if (taken === undefined) return;
    await taken.ingress.stop();
    this.#forget(slot, taken);
  }

  /** At once for all: what they write from now on, others may have written already. */
  async #lose(slots: readonly number[]): Promise<void> {
    await Promise.all(
      slots.map(async (slot) => {
        const taken = this.#taken.get(slot);
        if (taken === undefined) return;
        this.#slotsLost++;
        await taken.ingress.abandon();
        this.#forget(slot, taken);
      }),
    );
  }

  #forget(slot: number, taken: Taken): void {
    // Lost while it was being handed over: the other has done it.
    if (this.#taken.get(slot) !== taken) return;
    this.#past = addStats(this.#past, countsOf(taken.ingress.stats()));
    this.#taken.delete(slot);
  }

  #wasFrozen(pausedMs: number): void {
    if (this.#taken.size === 0) return;
    this.#logger.warn({ pausedMs: Math.round(pausedMs) }, "this process stood still for longer than its session: slots given up");
    this.#giveUp([...this.#taken.keys()], () => this.#membership.rejoin());
  }

  /**
   * A connection that ended while the group may have given the slot to another: that one took the session, most likely, and connecting
   * again would take it back. Whoever has it keeps it, or the group gives it back here.
   */
  #whatNext(slot: number, takenOver: boolean): "connect-again" | "give-up" {
    const { replica } = this.#options.scaleOut ?? {};
    if (this.#membership.isCertain && !(takenOver && replica === undefined)) return "connect-again";
    this.#giveUp([slot], () => {
      this.#rejoinTimer ??= setTimeout(() => {
        this.#rejoinTimer = undefined;
        this.#membership.rejoin();
      }, this.#options.takenOverPauseMs ?? TAKEN_OVER_PAUSE_MS);
    });
    return "give-up";
  }

  #giveUp(slots: readonly number[], then: () => void): void {
    // Cut off before anything else runs: the next in line may be waiting for the log.
    const cut = this.#lose(slots);
    this.#turns
      .run(async () => {
        await cut;
        if (this.#stopping === undefined) then();
      })
      .catch((error: unknown) => this.#finished.reject(error));
  }

  async #stop(): Promise<void> {
    this.#freezeWatch?.close();
    clearTimeout(this.#rejoinTimer);
    await this.#turns.run(() => Promise.all([...this.#taken.keys()].map((slot) => this.#handOver(slot))));
    await this.#membership.leave();
    await this.#devices?.close();
    this.#finished.resolve();
  }
}
