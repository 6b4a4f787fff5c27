/**
 * Ordered lists of metric names, each made once: devices send the same fields again and again, so that an event
 * carries one shared list, and a window row that has the same one skips the look-up by name.
 */
import { TextPiece } from "../state/byte-writer.ts";

/** Distinct lists kept before the table starts anew: bounds memory under hostile field names. */
const MAX_SHAPES = 2_000;

export class MetricShape {
  readonly names: readonly string[];
  /** What comes before each value in a normalized record: `,"metrics":{"name":`, then `,"name":`. */
  readonly jsonKeys: readonly TextPiece[];
  /** In a list that repeats a name: where it stands already. -1 otherwise. Only transient steps of append() have it. */
  readonly repeats: number;
  readonly #next = new Map<string, MetricShape>();
  #lastName = "";
  #last: MetricShape | undefined;

  constructor(names: readonly string[], jsonKeys: readonly TextPiece[], repeats: number) {
    this.names = names;
    this.jsonKeys = jsonKeys;
    this.repeats = repeats;
  }

  /** This list and one more name; or, when the name is in it, a marker whose `repeats` says where. */
  append(name: string): MetricShape {
    if (this.#last !== undefined && this.#lastName === name) return this.#last;
    let next = this.#next.get(name);
    if (next === undefined) {
      if (++shapes > MAX_SHAPES) resetShapes();
      const at = this.names.indexOf(name);
      next = at >= 0 ? new MetricShape([], [], at) : this.#with(name);
      this.#next.set(name, next);
    }
    this.#lastName = name;
    this.#last = next;
    return next;
  }

  #with(name: string): MetricShape {
    const before = this.names.length === 0 ? ',"metrics":{' : ",";
    return new MetricShape([...this.names, name], [...this.jsonKeys, new TextPiece(`${before}${JSON.stringify(name)}:`)], -1);
  }

  forget(): void {
    this.#next.clear();
    this.#last = undefined;
  }
}

let shapes = 0;

/** The empty list: where every list begins. */
export const NO_METRICS = new MetricShape([], [], -1);

/** Shapes in use stay valid; equal lists made later are other objects, which costs a look-up by name and nothing else. */
function resetShapes(): void {
  shapes = 0;
  NO_METRICS.forget();
}
