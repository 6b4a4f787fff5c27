/** A set of non-negative integers as sorted, disjoint, non-adjacent runs. Made for numbers that mostly come in order. */

export class IntervalSet {
  /** Run i holds runs[2 * i]..runs[2 * i + 1], both inclusive. */
  readonly #runs: number[] = [];
  #size = 0;

  /** Restores a set; runs must be in order and apart. RangeError otherwise. */
  static of(runs: Iterable<readonly [number, number]>): IntervalSet {
    const set = new IntervalSet();
    for (const [from, to] of runs) set.appendRun(from, to);
    return set;
  }

  /** Number of runs. */
  get runs(): number {
    return this.#runs.length / 2;
  }

  /** Numbers in the set. */
  get size(): number {
    return this.#size;
  }

  /** -1 when empty. */
  get min(): number {
    return this.#runs.length === 0 ? -1 : this.#runs[0];
  }

  /** -1 when empty. */
  get max(): number {
    return this.#runs.length === 0 ? -1 : this.#runs[this.#runs.length - 1];
  }

  /** Numbers between min and max that are not in the set. */
  get missing(): number {
    return this.#runs.length < 4 ? 0 : this.max - this.min + 1 - this.#size;
  }

  runFrom(index: number): number {
    return this.#runs[2 * index];
  }

  runTo(index: number): number {
    return this.#runs[2 * index + 1];
  }

  contains(value: number): boolean {
    const at = this.#lastRunFrom(value);
    return at >= 0 && value <= this.#runs[at + 1];
  }

  /** False when it was in the set already. */
  add(value: number): boolean {
    const runs = this.#runs;
    const last = runs.length - 2;
    if (last >= 0 && value === runs[last + 1] + 1) {
      runs[last + 1] = value;
      this.#size++;
      return true;
    }
    const at = last >= 0 && value > runs[last + 1] ? last : this.#lastRunFrom(value);
    if (at >= 0 && value <= runs[at + 1]) return false;
    this.#size++;
    const joinsLeft = at >= 0 && runs[at + 1] + 1 === value;
    const joinsRight = at < last && runs[at + 2] - 1 === value;
    if (joinsLeft && joinsRight) runs.splice(at + 1, 2);
    else if (joinsLeft) runs[at + 1] = value;
    else if (joinsRight) runs[at + 2] = value;
    else runs.splice(at + 2, 0, value, value);
    return true;
  }

  /** Closes the lowest gap as if its numbers had come; returns how many those are, 0 when there is no gap. */
  closeLowestGap(): number {
    if (this.#runs.length < 4) return 0;
    const given = this.#runs[2] - this.#runs[1] - 1;
    this.#runs.splice(1, 2);
    this.#size += given;
    return given;
  }

  appendRun(from: number, to: number): void {
    if (!(from >= 0 && from <= to) || (this.#runs.length > 0 && from <= this.max + 1))
      throw new RangeError(`run ${from}..${to} is out of order`);
    this.#runs.push(from, to);
    this.#size += to - from + 1;
  }

  /** Where the last run that begins at or below the value stands in the array; -2 when all begin above. */
  #lastRunFrom(value: number): number {
    let low = 0;
    let high = this.#runs.length / 2 - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (this.#runs[2 * middle] <= value) low = middle + 1;
      else high = middle - 1;
    }
    return 2 * high;
  }
}
