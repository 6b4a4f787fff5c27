/** A set of non-negative integers as sorted, disjoint, non-adjacent runs. Made for numbers that mostly come in order. */

/**
 * One array holds what a subclass keeps (`own`), the size, and the runs: at many devices, what an event costs is the
 * memory it touches. The array begins with a fraction or NaN, so that the engine makes it one of unboxed numbers.
 */
export class IntervalSet {
  protected readonly numbers: number[];
  /** Where the size is; run i holds numbers[#at + 1 + 2 * i]..numbers[#at + 2 + 2 * i], both inclusive. */
  readonly #at: number;

  constructor(own: readonly number[] = NOTHING_OWN) {
    this.numbers = [...own, NaN];
    this.#at = own.length;
    this.numbers[own.length] = 0;
  }

  /** Restores a set; runs must be in order and apart. RangeError otherwise. */
  static of(runs: Iterable<readonly [number, number]>): IntervalSet {
    const set = new IntervalSet();
    for (const [from, to] of runs) set.appendRun(from, to);
    return set;
  }

  /** Number of runs. */
  get runs(): number {
    return (this.numbers.length - this.#at - 1) / 2;
  }

  /** Numbers in the set. */
  get size(): number {
    return this.numbers[this.#at];
  }

  /** -1 when empty. */
  get min(): number {
    return this.runs === 0 ? -1 : this.numbers[this.#at + 1];
  }

  /** -1 when empty. */
  get max(): number {
    return this.runs === 0 ? -1 : this.numbers[this.numbers.length - 1];
  }

  /** Numbers between min and max that are not in the set. */
  get missing(): number {
    return this.runs < 2 ? 0 : this.max - this.min + 1 - this.size;
  }

  runFrom(index: number): number {
    return this.numbers[this.#at + 1 + 2 * index];
  }

  runTo(index: number): number {
    return this.numbers[this.#at + 2 + 2 * index];
  }

  contains(value: number): boolean {
    const { numbers } = this;
    const run = this.#lastRunFrom(value);
    return run > this.#at && value <= numbers[run + 1];
  }

  /** False when it was in the set already. */
  add(value: number): boolean {
    const { numbers } = this;
    const at = this.#at;
    const last = numbers.length - 2;
    if (last > at && value === numbers[last + 1] + 1) {
      numbers[last + 1] = value;
      numbers[at]++;
      return true;
    }
    const run = last > at && value > numbers[last + 1] ? last : this.#lastRunFrom(value);
    if (run > at && value <= numbers[run + 1]) return false;
    numbers[at]++;
    const joinsLeft = run > at && numbers[run + 1] + 1 === value;
    const joinsRight = run < last && numbers[run + 2] - 1 === value;
    if (joinsLeft && joinsRight) numbers.splice(run + 1, 2);
    else if (joinsLeft) numbers[run + 1] = value;
    else if (joinsRight) numbers[run + 2] = value;
    else numbers.splice(run + 2, 0, value, value);
    return true;
  }

  /** Closes the lowest gap as if its numbers had come; returns how many those are, 0 when there is no gap. */
  closeLowestGap(): number {
    if (this.runs < 2) return 0;
    const { numbers } = this;
    const at = this.#at;
    const given = numbers[at + 3] - numbers[at + 2] - 1;
    numbers.splice(at + 2, 2);
    numbers[at] += given;
    return given;
  }

  appendRun(from: number, to: number): void {
    if (!(from >= 0 && from <= to) || (this.runs > 0 && from <= this.max + 1)) throw new RangeError(`run ${from}..${to} is out of order`);
    this.numbers.push(from, to);
    this.numbers[this.#at] += to - from + 1;
  }

  /** Where the last run that begins at or below the value stands in the array; #at - 1 when all begin above. */
  #lastRunFrom(value: number): number {
    const { numbers } = this;
    const first = this.#at + 1;
    let low = 0;
    let high = this.runs - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (numbers[first + 2 * middle] <= value) low = middle + 1;
      else high = middle - 1;
    }
    return first + 2 * high;
  }
}

const NOTHING_OWN: readonly number[] = [];
