/** What of the loads' messages a topic holds, device by device: lost, doubled, out of order. */
import type { LoadPlan } from "./load.ts";

export interface Counts {
  /** Records that hold a message of the load. */
  readonly records: number;
  /** Messages of it that are there. */
  readonly distinct: number;
  readonly lost: number;
  /** Records beyond the first of a message. */
  readonly doubled: number;
  /** Messages whose first record comes after that of a later one of the same device. */
  readonly reordered: number;
}

export class Tally {
  readonly #loads = new Map<string, LoadTally>();
  /** Of all loads. */
  records = 0;
  /** Records that are no message of any load. */
  foreign = 0;

  expect(plan: LoadPlan): void {
    this.#loads.set(plan.name, new LoadTally(plan.devices, plan.perDevice));
  }

  /** Any JSON with the message's `deviceId` and `seq`: raw and normalized records are. */
  add(value: Buffer | null): void {
    const id = identityOf(value);
    const load = id === undefined ? undefined : this.#loads.get(id.load);
    if (id === undefined || load?.add(id.device, id.seq) !== true) this.foreign++;
    else this.records++;
  }

  of(name: string): Counts {
    return this.#of(name).counts();
  }

  /** Messages of a load that are here or there. */
  distinctWith(other: Tally, name: string): number {
    return this.#of(name).distinctWith(other.#of(name));
  }

  has({ load, device, seq }: Identity): boolean {
    return this.#of(load).has(device, seq);
  }

  #of(name: string): LoadTally {
    const load = this.#loads.get(name);
    if (load === undefined) throw new RangeError(`no load ${name} was expected`);
    return load;
  }
}

export interface Identity {
  readonly load: string;
  readonly device: number;
  readonly seq: number;
}

/** Which message of which load; undefined: none of ours. */
export function identityOf(value: Buffer | null): Identity | undefined {
  const { deviceId, seq } = JSON.parse(value?.toString() ?? "{}") as { deviceId?: string; seq?: number };
  const [, load, device] = /^(.*)-(\d+)$/.exec(deviceId ?? "") ?? [];
  return load === undefined || seq === undefined ? undefined : { load, device: Number(device), seq };
}

class LoadTally {
  readonly #perDevice: number;
  readonly #seen: Uint8Array;
  /** The latest seq of each device. */
  readonly #latest: Int32Array;
  #records = 0;
  #distinct = 0;
  #reordered = 0;

  constructor(devices: number, perDevice: number) {
    this.#perDevice = perDevice;
    this.#seen = new Uint8Array(devices * perDevice);
    this.#latest = new Int32Array(devices).fill(-1);
  }

  /** False: the load has no such message. */
  add(device: number, seq: number): boolean {
    if (device >= this.#latest.length || seq >= this.#perDevice) return false;
    this.#records++;
    const at = device * this.#perDevice + seq;
    if (this.#seen[at] === 1) return true;
    this.#seen[at] = 1;
    this.#distinct++;
    if (seq < this.#latest[device]) this.#reordered++;
    else this.#latest[device] = seq;
    return true;
  }

  distinctWith(other: LoadTally): number {
    return this.#seen.reduce((sum, seen, at) => sum + (seen | other.#seen[at]), 0);
  }

  has(device: number, seq: number): boolean {
    return this.#seen[device * this.#perDevice + seq] === 1;
  }

  counts(): Counts {
    return {
      records: this.#records,
      distinct: this.#distinct,
      lost: this.#seen.length - this.#distinct,
      doubled: this.#records - this.#distinct,
      reordered: this.#reordered,
    };
  }
}
