/** The fields of one event as they were sent, in order. One instance is refilled for each event: nothing of it may be kept. */
import { NO_FIELD, SLOT_COUNT, type FieldName, type Slot } from "./field-name.ts";

/** `null` is also what Avro has as undefined. `other` is what JSON does not have. */
export const KIND = { null: 0, number: 1, true: 2, false: 3, text: 4, textBytes: 5, object: 6, array: 7, other: 8 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** Fields kept of an event; with more it is refused. */
export const MAX_FIELDS = 512;

const NOWHERE = -1;
const NO_BYTES = Buffer.alloc(0);

export class Payload {
  count = 0;
  /** There were more fields than are kept. */
  isCutOff = false;
  /** The last field; NO_FIELD for an empty object. */
  lastField: FieldName = NO_FIELD;
  readonly kinds: Kind[] = [];
  readonly numbers: number[] = [0.5];
  /** Where fields of fixed meaning are; -1: not there. */
  readonly #slots: number[] = new Array<number>(SLOT_COUNT).fill(NOWHERE);
  #usesSlots = false;
  readonly #values: unknown[] = [];
  #bytes: Buffer = NO_BYTES;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** What the fields were taken from; undefined when it was bytes. */
  object: Readonly<Record<string, unknown>> | undefined = undefined;

  /** Empty, to be filled with fields whose texts are in `bytes`. */
  reset(bytes: Buffer = NO_BYTES): void {
    this.count = 0;
    this.isCutOff = false;
    this.lastField = NO_FIELD;
    this.object = undefined;
    this.#bytes = bytes;
    if (!this.#usesSlots) return;
    for (let slot = 0; slot < SLOT_COUNT; slot++) this.#slots[slot] = NOWHERE;
    this.#usesSlots = false;
  }

  /** A plain object: from JSON.parse, or a cloned Avro record. */
  take(object: Readonly<Record<string, unknown>>): void {
    this.reset();
    this.object = object;
    for (const name in object) {
      const value = object[name];
      const field = this.lastField.next(name);
      switch (typeof value) {
        case "number":
          this.addNumber(field, value);
          break;
        case "string":
          this.#addValue(field, KIND.text, value);
          break;
        case "boolean":
          this.add(field, value ? KIND.true : KIND.false);
          break;
        case "undefined":
          this.add(field, KIND.null);
          break;
        case "object":
          if (value === null) this.add(field, KIND.null);
          else this.#addValue(field, Array.isArray(value) || ArrayBuffer.isView(value) ? KIND.array : KIND.object, value);
          break;
        default:
          this.#addValue(field, KIND.other, value);
      }
      if (this.isCutOff) return;
    }
  }

  add(field: FieldName, kind: Kind): void {
    const at = this.count;
    if (at === MAX_FIELDS) {
      this.isCutOff = true;
      return;
    }
    this.kinds[at] = kind;
    this.lastField = field;
    this.count = at + 1;
    if (field.slot < 0) return;
    this.#slots[field.slot] = at;
    this.#usesSlots = true;
  }

  addNumber(field: FieldName, value: number): void {
    this.numbers[this.count] = value;
    this.add(field, KIND.number);
  }

  /** ASCII without escapes, at [start, end) of the bytes given to reset(). */
  addTextBytes(field: FieldName, start: number, end: number): void {
    this.#starts[this.count] = start;
    this.#ends[this.count] = end;
    this.add(field, KIND.textBytes);
  }

  #addValue(field: FieldName, kind: Kind, value: unknown): void {
    this.#values[this.count] = value;
    this.add(field, kind);
  }

  /** Where the field is; -1 when it is not there, or null. */
  at(slot: Slot): number {
    const index = this.#slots[slot];
    return index >= 0 && this.kinds[index] !== KIND.null ? index : NOWHERE;
  }

  isText(index: number): boolean {
    const kind = this.kinds[index];
    return kind === KIND.textBytes || kind === KIND.text;
  }

  /** Whether the field is this very text. */
  equals(index: number, text: string): boolean {
    if (this.kinds[index] !== KIND.textBytes) return this.kinds[index] === KIND.text && this.#values[index] === text;
    const start = this.#starts[index];
    const { length } = text;
    if (this.#ends[index] - start !== length) return false;
    const bytes = this.#bytes;
    for (let i = 0; i < length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  /** Of a field that is text. */
  text(index: number): string {
    return this.kinds[index] === KIND.textBytes
      ? this.#bytes.toString("latin1", this.#starts[index], this.#ends[index])
      : String(this.#values[index]);
  }

  /** Undefined for null. */
  value(index: number): unknown {
    switch (this.kinds[index]) {
      case KIND.number:
        return this.numbers[index];
      case KIND.textBytes:
        return this.text(index);
      case KIND.true:
        return true;
      case KIND.false:
        return false;
      case KIND.null:
        return undefined;
      default:
        return this.#values[index];
    }
  }
}
