/**
 * Whether each device is there, from what the ingress hears. Pure: a clock comes in, changes go out.
 *
 *            telemetry, state online                    silent for staleAfterMs
 *   (new) ---------------------------> online <-------------------------------> stale
 *     |                                 |   ^         telemetry, state online     |
 *     | state offline, held             |   | telemetry, state online             | state offline, held
 *     '------------> offline <----------'---'-------------------------------------'
 *
 * - An offline (a Last Will, mostly) is held for a while and forgotten when the device shows itself meanwhile: a broker that
 *   stops sends the wills of the whole fleet, which is back a second later.
 * - While the broker is away nobody is silent: the time counts from the reconnect, and held offlines wait `reconnectHoldMs` from it.
 * - A retained state is what the broker remembers, no sign of life: it never makes a stale device online, nor counts as seen.
 */
export type PresenceStatus = "online" | "offline" | "stale";

export interface PresenceSettings {
  /** Online and nothing heard for so long: stale. */
  readonly staleAfterMs: number;
  /** How long an offline waits for the device to show itself. */
  readonly offlineHoldMs: number;
  /** The same after the broker or this ingress was away. */
  readonly reconnectHoldMs: number;
  /** Devices kept, about 300 bytes each; others are not followed, and counted. */
  readonly maxDevices: number;
}

export interface PresenceClock {
  /** Of the records. */
  epochMs(): number;
  /** Of the waiting: no step of the wall clock makes a fleet stale. */
  monotonicMs(): number;
}

/** What a record says. Times are epoch ms. */
export interface PresenceView {
  readonly status: PresenceStatus;
  /** `telemetry`, `state`, `silence`, or the device's own word for it. */
  readonly reason: string;
  readonly sinceTs: number;
  /** As of the change; 0: never since it is followed. */
  readonly lastSeenTs: number;
  /** The change came by a retained message. */
  readonly retained: boolean;
}

interface Offline {
  readonly reason: string;
  readonly sinceTs: number;
  readonly retained: boolean;
  dueMs: number;
}

class Device {
  readonly key: string;
  view: PresenceView | undefined;
  seenTs = 0;
  /** When its silence began, monotonic. */
  quietSinceMs = 0;
  offline: Offline | undefined;

  constructor(key: string) {
    this.key = key;
  }
}

/** A whole fleet is looked at for silence in so many sweeps: a sweep is short, and silence is noticed that much later. */
export const SWEEPS_PER_ROUND = 20;

export class PresenceMachine {
  readonly #settings: PresenceSettings;
  readonly #clock: PresenceClock;
  readonly #changed: (key: string, view: PresenceView) => void;
  readonly #devices = new Map<string, Device>();
  readonly #order: Device[] = [];
  readonly #offlines = new Set<Device>();
  #cursor = 0;
  #connected = false;
  #connectedAtMs = 0;
  /** Messages of devices for which there was no room. */
  overflow = 0;

  constructor(settings: PresenceSettings, clock: PresenceClock, changed: (key: string, view: PresenceView) => void) {
    this.#settings = settings;
    this.#clock = clock;
    this.#changed = changed;
  }

  get size(): number {
    return this.#devices.size;
  }

  view(key: string): PresenceView | undefined {
    return this.#devices.get(key)?.view;
  }

  /** What was written before; the newest of a key counts. */
  restore(key: string, view: PresenceView): void {
    const device = this.#device(key);
    if (device === undefined) return;
    device.view = view;
    device.seenTs = view.lastSeenTs;
  }

  /** Another follows it now: nothing more is said of it here, unless it is heard here again. */
  forget(key: string): void {
    const device = this.#devices.get(key);
    if (device === undefined) return;
    this.#cancelOffline(device);
    this.#devices.delete(key);
    const index = this.#order.indexOf(device);
    this.#order.splice(index, 1);
    if (index < this.#cursor) this.#cursor--;
    if (this.#cursor >= this.#order.length) this.#cursor = 0;
  }

  /** A live message that the device made itself. */
  seen(key: string, reason: "telemetry" | "state" = "telemetry"): void {
    const device = this.#device(key);
    if (device === undefined) return;
    device.quietSinceMs = this.#clock.monotonicMs();
    device.seenTs = this.#clock.epochMs();
    if (device.offline !== undefined) this.#cancelOffline(device);
    if (device.view?.status !== "online") this.#change(device, "online", reason, device.seenTs, false);
  }

  /** The device, or its Last Will, says so. */
  state(key: string, says: "online" | "offline", reason: string, retained: boolean): void {
    if (says === "online" && !retained) return this.seen(key, "state");
    const device = this.#device(key);
    if (device === undefined) return;
    if (says === "offline") this.#holdOffline(device, reason, retained);
    else {
      this.#cancelOffline(device);
      if (device.view !== undefined && device.view.status !== "offline") return;
      device.quietSinceMs = this.#clock.monotonicMs();
      this.#change(device, "online", "state", this.#clock.epochMs(), true);
    }
  }

  brokerLost(): void {
    this.#connected = false;
  }

  brokerBack(): void {
    this.#connected = true;
    this.#connectedAtMs = this.#clock.monotonicMs();
    for (const { offline } of this.#offlines)
      if (offline !== undefined) offline.dueMs = Math.max(offline.dueMs, this.#reconnectHoldEndMs());
  }

  /** Call it often: each call ends the holds that are over and looks at a part of the fleet for silence. */
  sweep(): void {
    if (!this.#connected) return;
    const nowMs = this.#clock.monotonicMs();
    for (const device of this.#offlines) {
      const { offline } = device;
      if (offline === undefined || offline.dueMs > nowMs) continue;
      this.#cancelOffline(device);
      this.#change(device, "offline", offline.reason, offline.sinceTs, offline.retained);
    }
    const count = Math.ceil(this.#order.length / SWEEPS_PER_ROUND);
    for (let i = 0; i < count; i++) {
      const device = this.#order[this.#cursor];
      this.#cursor = (this.#cursor + 1) % this.#order.length;
      const quietMs = nowMs - Math.max(device.quietSinceMs, this.#connectedAtMs);
      if (device.view?.status === "online" && device.offline === undefined && quietMs >= this.#settings.staleAfterMs)
        this.#change(device, "stale", "silence", this.#clock.epochMs(), false);
    }
  }

  #holdOffline(device: Device, reason: string, retained: boolean): void {
    if (device.view?.status === "offline" || device.offline !== undefined) return;
    const nowMs = this.#clock.monotonicMs();
    const dueMs = Math.max(nowMs + this.#settings.offlineHoldMs, retained || !this.#connected ? this.#reconnectHoldEndMs() : 0);
    device.offline = { reason, sinceTs: this.#clock.epochMs(), retained, dueMs };
    this.#offlines.add(device);
  }

  #reconnectHoldEndMs(): number {
    return this.#connectedAtMs + this.#settings.reconnectHoldMs;
  }

  #cancelOffline(device: Device): void {
    device.offline = undefined;
    this.#offlines.delete(device);
  }

  #change(device: Device, status: PresenceStatus, reason: string, sinceTs: number, retained: boolean): void {
    device.view = { status, reason, sinceTs, lastSeenTs: device.seenTs, retained };
    this.#changed(device.key, device.view);
  }

  #device(key: string): Device | undefined {
    const known = this.#devices.get(key);
    if (known !== undefined) return known;
    if (this.#devices.size >= this.#settings.maxDevices) {
      this.overflow++;
      return undefined;
    }
    const device = new Device(key);
    this.#devices.set(key, device);
    this.#order.push(device);
    return device;
  }
}
