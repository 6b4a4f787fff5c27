/**
 * Presence at an ingress or a gateway: the machine, restored from its own compacted topic, and the writing of what changes. A state message
 * is acknowledged without waiting for its record: after a crash the broker's retained states, asked for at each start, tell it again.
 *
 * Each record says who wrote it, a gateway or an ingress: only what one wrote itself is it restored from. The topic is followed: a device of
 * which another's record comes has moved there, and is that one's from then on. Two that both thought it theirs would overwrite each other's
 * word, the later silence of the one the other's life.
 */
import type { Logger } from "pino";
import type { EventLog } from "../../eventlog/port.ts";
import { parseDeviceKey } from "../../processors/formats/names.ts";
import type { Owns, Route } from "../route-cache.ts";
import { TableTail } from "../table-tail.ts";
import { TableWriter } from "../table-writer.ts";
import { encodePresence, parsePresence, parseState, stateTopic } from "./formats.ts";
import { PresenceMachine, type PresenceClock, type PresenceSettings } from "./presence-machine.ts";

export interface PresenceOptions extends PresenceSettings {
  readonly topic: string;
}

export interface PresenceFollower {
  /** Which devices are followed here; absent: all. */
  readonly owns?: Owns;
  /** The gateway's id; absent: an ingress. */
  readonly gateway?: string;
  /** The ingress' name, one for all its replicas. */
  readonly ingress?: string;
  /** Absent: this machine's. */
  readonly clock?: PresenceClock;
}

const OWN_CLOCK: PresenceClock = { epochMs: () => Date.now(), monotonicMs: () => performance.now() };

/** Between sweeps: the accuracy of holds, and a twentieth of that of silence. */
const SWEEP_MS = 500;
/**
 * After another ingress took a device, telemetry that comes here does not take it back for so long, ms: two that both hear it (as while one
 * replaces the other) must not write a record each for every message. Less than offlines are held, so that one that is back is never offline.
 */
const RETAKE_MS = 2_000;

export class Presence {
  readonly machine: PresenceMachine;
  /** State messages that say neither online nor offline. */
  unreadable = 0;
  readonly #topic: string;
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #follower: PresenceFollower;
  readonly #clock: PresenceClock;
  readonly #tail: TableTail;
  #isRestored = false;
  /** Keys whose newest record the log refused: tried again at each sweep. At most as many as there are devices. */
  readonly #unwritten = new Set<string>();
  /** Devices that moved from here to another follower: when telemetry takes them back, monotonic ms. At most as many as there are devices. */
  readonly #moved = new Map<string, number>();
  #writer: TableWriter | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PresenceOptions, log: EventLog, logger: Logger, follower: PresenceFollower = {}) {
    this.#follower = follower;
    this.#topic = options.topic;
    this.#log = log;
    this.#logger = logger;
    this.#clock = follower.clock ?? OWN_CLOCK;
    this.machine = new PresenceMachine(options, this.#clock, (key) => this.#write(key));
    this.#tail = new TableTail(log, options.topic, (key, value) => this.#onRow(key, value), logger);
  }

  /** Resolves when what was written before is known. Rejects as the reader does. */
  async start(): Promise<void> {
    this.#writer = await TableWriter.open(this.#log, this.#topic);
    await this.#tail.read();
    this.#isRestored = true;
    this.#tail.follow();
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  seen({ deviceKey }: Route): void {
    const fromMs = this.#moved.size === 0 ? undefined : this.#moved.get(deviceKey);
    if (fromMs !== undefined && this.#clock.monotonicMs() < fromMs) return;
    this.machine.seen(deviceKey);
  }

  state(route: Route, payload: Uint8Array, retained: boolean): void {
    const statement = parseState(payload);
    if (statement === undefined) {
      if (payload.length > 0) this.unreadable++;
    } else if (statement.says === "online" || !this.#isElsewhere(route.deviceKey)) {
      this.machine.state(route.deviceKey, statement.says, statement.reason, retained);
    }
  }

  /** It moved and was not heard here since: an offline is of the connection that it left. */
  #isElsewhere(deviceKey: string): boolean {
    return this.#moved.has(deviceKey) && this.machine.view(deviceKey) === undefined;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#tail.close();
    await this.#writer?.close();
  }

  #onRow(key: string, value: Buffer | null): void {
    const record = value === null ? undefined : parsePresence(value);
    if (record === undefined) return;
    const { gateway, ingress } = this.#follower;
    const isOthers = record.gateway !== gateway || (record.ingress !== undefined && record.ingress !== ingress);
    if (isOthers) {
      if (this.machine.view(key) === undefined) return;
      this.machine.forget(key);
      this.#unwritten.delete(key);
      this.#moved.set(key, record.ingress === undefined || gateway !== undefined ? 0 : this.#clock.monotonicMs() + RETAKE_MS);
      return;
    }
    // Written here, it says nothing new: unless the device was another's in between, and is back.
    const isNews = !this.#isRestored || (this.#moved.delete(key) && this.machine.view(key) === undefined);
    if (isNews && this.#isOwn(key)) this.machine.restore(key, record);
  }

  /** What another ingress follows is not declared silent here. */
  #isOwn(key: string): boolean {
    const { owns } = this.#follower;
    if (owns === undefined) return true;
    const device = parseDeviceKey(key);
    return device !== undefined && owns(stateTopic(device.tenant, device.deviceId), Buffer.from(key));
  }

  #sweep(): void {
    const again = [...this.#unwritten];
    this.#unwritten.clear();
    for (const key of again) this.#write(key);
    this.machine.sweep();
  }

  #write(key: string): void {
    const view = this.machine.view(key);
    const value = view && encodePresence(key, { ...view, gateway: this.#follower.gateway, ingress: this.#follower.ingress });
    if (view === undefined || value === undefined) return;
    this.#writer?.write(key, value, (error) => {
      if (error !== undefined) this.#failed(key, error);
    });
  }

  #failed(key: string, error: Error): void {
    if (this.#unwritten.size === 0) this.#logger.warn({ err: error, topic: this.#topic }, "presence is not written, and tried again");
    this.#unwritten.add(key);
  }
}
