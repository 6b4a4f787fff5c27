/**
 * Presence at the ingress: the machine, restored from its own compacted topic, and the writing of what changes. A state message is
 * acknowledged without waiting for its record: after a crash the broker's retained states, asked for at each start, tell it again.
 */
import type { Logger } from "pino";
import type { EventLog } from "../../eventlog/port.ts";
import { readTable } from "../read-table.ts";
import { parseDeviceKey } from "../../processors/formats/names.ts";
import type { Owns, Route } from "../route-cache.ts";
import { TableWriter } from "../table-writer.ts";
import { encodePresence, parsePresence, parseState, stateTopic } from "./formats.ts";
import { PresenceMachine, type PresenceSettings } from "./presence-machine.ts";

export interface PresenceOptions extends PresenceSettings {
  readonly topic: string;
}

/** Between sweeps: the accuracy of holds, and a twentieth of that of silence. */
const SWEEP_MS = 500;

export class Presence {
  readonly machine: PresenceMachine;
  /** State messages that say neither online nor offline. */
  unreadable = 0;
  readonly #topic: string;
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #owns: Owns | undefined;
  /** Keys whose newest record the log refused: tried again at each sweep. At most as many as there are devices. */
  readonly #unwritten = new Set<string>();
  #writer: TableWriter | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param owns which devices are followed here; absent: all */
  constructor(options: PresenceOptions, log: EventLog, logger: Logger, owns?: Owns) {
    this.#owns = owns;
    this.#topic = options.topic;
    this.#log = log;
    this.#logger = logger;
    const clock = { epochMs: () => Date.now(), monotonicMs: () => performance.now() };
    this.machine = new PresenceMachine(options, clock, (key) => this.#write(key));
  }

  /** Resolves when what was written before is known. Rejects as the reader does. */
  async start(): Promise<void> {
    this.#writer = await TableWriter.open(this.#log, this.#topic);
    await readTable(this.#log, this.#topic, (key, value) => {
      const view = value === null ? undefined : parsePresence(value);
      if (view !== undefined && this.#isOwn(key)) this.machine.restore(key, view);
    });
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
    await this.#writer?.close();
  }

  /** What another ingress follows is not declared silent here. */
  #isOwn(key: string): boolean {
    if (this.#owns === undefined) return true;
    const device = parseDeviceKey(key);
    return device !== undefined && this.#owns(stateTopic(device.tenant, device.deviceId), Buffer.from(key));
  }

  #sweep(): void {
    const again = [...this.#unwritten];
    this.#unwritten.clear();
    for (const key of again) this.#write(key);
    this.machine.sweep();
  }

  #write(key: string): void {
    const view = this.machine.view(key);
    const value = view && encodePresence(key, view);
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
