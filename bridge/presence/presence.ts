/**
 * Presence at an ingress or a gateway: the machine, restored from its own compacted topic, and the writing of what changes. A state message
 * is acknowledged without waiting for its record: after a crash the broker's retained states, asked for at each start, tell it again.
 *
 * The topic is followed: a device of which a record comes that another kind of follower wrote (a gateway, an ingress) has moved there, and
 * is that one's from then on. Two that both thought it theirs would overwrite each other's word, the later silence of the one the other's life.
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
  /** Absent: this machine's. */
  readonly clock?: PresenceClock;
}

const OWN_CLOCK: PresenceClock = { epochMs: () => Date.now(), monotonicMs: () => performance.now() };

/** Between sweeps: the accuracy of holds, and a twentieth of that of silence. */
const SWEEP_MS = 500;

export class Presence {
  readonly machine: PresenceMachine;
  /** State messages that say neither online nor offline. */
  unreadable = 0;
  readonly #topic: string;
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #follower: PresenceFollower;
  readonly #tail: TableTail;
  #isRestored = false;
  /** Keys whose newest record the log refused: tried again at each sweep. At most as many as there are devices. */
  readonly #unwritten = new Set<string>();
  /** Keys of devices that moved from here to another kind of follower. At most as many as there are devices. */
  readonly #moved = new Set<string>();
  #writer: TableWriter | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PresenceOptions, log: EventLog, logger: Logger, follower: PresenceFollower = {}) {
    this.#follower = follower;
    this.#topic = options.topic;
    this.#log = log;
    this.#logger = logger;
    this.machine = new PresenceMachine(options, follower.clock ?? OWN_CLOCK, (key) => this.#write(key));
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

  seen(route: Route): void {
    this.machine.seen(route.deviceKey);
  }

  state(route: Route, payload: Uint8Array, retained: boolean): void {
    const statement = parseState(payload);
    if (statement !== undefined) this.machine.state(route.deviceKey, statement.says, statement.reason, retained);
    else if (payload.length > 0) this.unreadable++;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#tail.close();
    await this.#writer?.close();
  }

  #onRow(key: string, value: Buffer | null): void {
    const record = value === null ? undefined : parsePresence(value);
    if (record === undefined) return;
    if (record.gateway !== this.#follower.gateway) {
      if (this.machine.view(key) === undefined) return;
      this.machine.forget(key);
      this.#unwritten.delete(key);
      this.#moved.add(key);
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
    const value = view && encodePresence(key, { ...view, gateway: this.#follower.gateway });
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
