/**
 * Which message comes when: the fleet without payloads. Streams, so that a fleet without end costs no more memory than
 * its pending duplicates (duplicates * duplicateDistance) and one held message per device.
 */
import type { FleetOptions } from "./fleet-options.ts";
import { Random } from "./random.ts";

export interface PlannedMessage {
  readonly device: number;
  readonly boot: number;
  readonly seq: number;
  /** By a right clock. */
  readonly ts: number;
}

export interface PlannedArrival {
  readonly message: PlannedMessage;
  readonly duplicate: boolean;
  readonly sendAtMs: number;
}

interface DeviceState {
  boot: number;
  nextSeq: number;
  /** A message that later ones overtake, and how many more. */
  held: PlannedMessage | undefined;
  overtakes: number;
}

/** Most that overtake one message, and most that are lost at once. */
const MAX_OVERTAKES = 3;
const MAX_LOST_AT_ONCE = 3;
/** Share of duplicates from the far half of the distance; the rest follow within 1 % of it, as a retry does. */
const FAR_SHARE = 0.2;

export function* planFleet(options: FleetOptions): Generator<PlannedArrival, void, undefined> {
  const plan = new FleetPlan(options);
  for (let arrival = plan.next(); arrival !== undefined; arrival = plan.next()) yield arrival;
}

class FleetPlan {
  readonly #options: FleetOptions;
  readonly #random: Random;
  readonly #devices: DeviceState[];
  readonly #count: number;
  readonly #intervalMs: number;
  /** So that `duplicates` is their share of all messages, not of the originals. */
  readonly #duplicateChance: number;
  /** By the arrival they are due at. */
  readonly #duplicates = new Map<number, PlannedMessage[]>();
  #made = 0;
  #arrived = 0;
  /** Arrivals promised: arrived, held, and duplicates to come. Never above the count. */
  #promised = 0;
  /** Released by overtaking, comes next. */
  #released: PlannedMessage | undefined;
  /** What is left when nothing new is made any more, last first. */
  #rest: { message: PlannedMessage; duplicate: boolean }[] | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#devices = Array.from({ length: options.devices }, () => ({ boot: 0, nextSeq: 0, held: undefined, overtakes: 0 }));
    this.#count = options.count ?? Number.POSITIVE_INFINITY;
    this.#intervalMs = 1000 / options.rate;
    this.#duplicateChance = options.duplicates / (1 - options.duplicates);
  }

  next(): PlannedArrival | undefined {
    const due = this.#dueDuplicate();
    if (due !== undefined) return this.#arrive(due, true);
    const released = this.#released;
    if (released !== undefined) {
      this.#released = undefined;
      return this.#arrive(released, false);
    }
    while (this.#promised < this.#count) {
      const message = this.#make();
      if (message !== undefined) return this.#arrive(message, false);
    }
    return this.#drain();
  }

  /** The next new message in the fleet's round; undefined when it is held back. */
  #make(): PlannedMessage | undefined {
    const { reorder, gaps, reboots, maxReboots, devices } = this.#options;
    const index = this.#made % devices;
    const device = this.#devices[index];
    if (device.boot < maxReboots && device.nextSeq > 0 && this.#random.chance(reboots)) {
      device.boot++;
      device.nextSeq = 0;
    }
    if (device.nextSeq > 0 && this.#random.chance(gaps)) device.nextSeq += this.#random.between(1, MAX_LOST_AT_ONCE);
    const ts = this.#options.startTs + Math.round(this.#made * this.#intervalMs);
    const message = { device: index, boot: device.boot, seq: device.nextSeq++, ts };
    this.#made++;
    this.#promised++;
    if (device.held !== undefined) {
      if (--device.overtakes === 0) {
        this.#released = device.held;
        device.held = undefined;
      }
    } else if (this.#random.chance(reorder)) {
      device.held = message;
      device.overtakes = this.#random.between(1, MAX_OVERTAKES);
      return undefined;
    }
    return message;
  }

  #arrive(message: PlannedMessage, duplicate: boolean): PlannedArrival {
    const sendAtMs = this.#options.startTs + this.#arrived * this.#intervalMs;
    this.#arrived++;
    if (!duplicate && this.#promised < this.#count && this.#random.chance(this.#duplicateChance)) {
      this.#promised++;
      const at = this.#arrived + this.#distance();
      const sameTime = this.#duplicates.get(at);
      if (sameTime === undefined) this.#duplicates.set(at, [message]);
      else sameTime.push(message);
    }
    return { message, duplicate, sendAtMs };
  }

  #distance(): number {
    const far = this.#options.duplicateDistance;
    if (this.#random.chance(FAR_SHARE)) return this.#random.between(Math.ceil(far / 2), far);
    return this.#random.between(0, Math.ceil(far / 100));
  }

  #dueDuplicate(): PlannedMessage | undefined {
    const due = this.#duplicates.get(this.#arrived);
    if (due === undefined) return undefined;
    this.#duplicates.delete(this.#arrived);
    const [first, ...others] = due;
    // Two due at once: the others come right after, before what was due then.
    if (others.length > 0) this.#duplicates.set(this.#arrived + 1, [...others, ...(this.#duplicates.get(this.#arrived + 1) ?? [])]);
    return first;
  }

  /** The end: what is held comes, then the duplicates that were due later, closer together than planned. */
  #drain(): PlannedArrival | undefined {
    if (this.#rest === undefined) {
      const held = this.#devices.flatMap((device) => (device.held === undefined ? [] : [{ message: device.held, duplicate: false }]));
      const late = [...this.#duplicates].sort(([a], [b]) => a - b).flatMap(([, messages]) => messages);
      this.#duplicates.clear();
      this.#rest = [...held, ...late.map((message) => ({ message, duplicate: true }))].reverse();
    }
    const next = this.#rest.pop();
    return next === undefined ? undefined : this.#arrive(next.message, next.duplicate);
  }
}
