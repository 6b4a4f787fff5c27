/** A set of non-negative integers as sorted, disjoint, non-adjacent runs. Made for numbers that mostly come in order. */

export class IntervalSet {
  /** Run i holds from[i]..to[i], both inclusive. */
  readonly #from: number[] = [];
  readonly #to: number[] = [];
  #size = 0;

  /** Restores a set; runs must be in order and apart. RangeError otherwise. */
  static of(runs: Iterable<readonly [number, number]>): IntervalSet {
    const set = new IntervalSet();
    for (const [from, to] of runs) set.appendRun(from, to);
    return set;
  }

  /** Number of runs. */
  get runs(): number {
    return this.#from.length;
  }

  /** Numbers in the set. */
  get size(): number {
    return this.#size;
  }

  /** -1 when empty. */
  get min(): number {
    return this.#from.length === 0 ? -1 : this.#from[0];
  }

  /** -1 when empty. */
  get max(): number {
    return this.#to.length === 0 ? -1 : this.#to[this.#to.length - 1];
  }

  /** Numbers between min and max that are not in the set. */
  get missing(): number {
    return this.#from.length < 2 ? 0 : this.max - this.min + 1 - this.#size;
  }

  runFrom(index: number): number {
    return this.#from[index];
  }

  runTo(index: number): number {
    return this.#to[index];
  }

  contains(value: number): boolean {
    const index = this.#lastRunFrom(value);
    return index >= 0 && value <= this.#to[index];
  }

  /** False when it was in the set already. */
  add(value: number): boolean {
    const from = this.#from;
    const to = this.#to;
    const last = to.length - 1;
    if (last >= 0 && value === to[last] + 1) {
      to[last] = value;
      this.#size++;
      return true;
    }
    const index = last >= 0 && value > to[last] ? last : this.#lastRunFrom(value);
    if (index >= 0 && value <= to[index]) return false;
    this.#size++;
    const joinsLeft = index >= 0 && to[index] + 1 === value;
    const joinsRight = index < last && from[index + 1] - 1 === value;
    if (joinsLeft && joinsRight) {
      to[index] = to[index + 1];
      from.splice(index + 1, 1);
      to.splice(index + 1, 1);
    } else if (joinsLeft) to[index] = value;
    else if (joinsRight) from[index + 1] = value;
    else {
      from.splice(index + 1, 0, value);
      to.splice(index + 1, 0, value);
    }
    return true;
  }

  /** Closes the lowest gap as if its numbers had come; returns how many those are, 0 when there is no gap. */
  closeLowestGap(): number {
    if (this.#from.length < 2) return 0;
    const given = this.#from[1] - this.#to[0] - 1;
    this.#from[1] = this.#from[0];
    this.#from.shift();
    this.#to.shift();
    this.#size += given;
    return given;
  }

  appendRun(from: number, to: number): void {
    if (!(from >= 0 && from <= to) || (this.#to.length > 0 && from <= this.max + 1))
      throw new RangeError(`run ${from}..${to} is out of order`);
    this.#from.push(from);
    this.#to.push(to);
    this.#size += to - from + 1;
  }

  /** Index of the last run that begins at or below the value; -1 when all begin above. */
  #lastRunFrom(value: number): number {
    let low = 0;
    let high = this.#from.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (this.#from[middle] <= value) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }
}
