/** Reads what ByteWriter wrote, bounds checked: bytes that end too early or make no sense are a `corrupt-row`. */
import { IN_FULL, MAX_SHORT_HUNDREDTHS } from "./byte-writer.ts";
import { StateError } from "./errors.ts";

const EMPTY = Buffer.alloc(0);
const TWO_POW_32 = 0x1_0000_0000;

/** One instance is meant to be reset and reused. */
export class ByteReader {
  bytes: Buffer = EMPTY;
  /** Index of the next byte to read. */
  position = 0;
  end = 0;
  /** Until the next reset(): time() and number() are for what svarint() and f64() wrote, as rows of older versions have it. */
  inFull = false;
  /** The last of time(). */
  #time = 0;

  reset(bytes: Buffer, start: number, end: number): void {
    if (!(start >= 0 && start <= end && end <= bytes.length))
      throw new StateError("corrupt-row", `bounds ${start}..${end} of ${bytes.length} bytes`);
    this.bytes = bytes;
    this.position = start;
    this.end = end;
    this.inFull = false;
    this.#time = 0;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  u8(): number {
    return this.bytes[this.#take(1)];
  }

  u16(): number {
    const at = this.#take(2);
    return (this.bytes[at] << 8) | this.bytes[at + 1];
  }

  u32(): number {
    return this.i32() >>> 0;
  }

  i32(): number {
    const at = this.#take(4);
    const { bytes } = this;
    return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }

  u64(): number {
    const high = this.u32();
    const low = this.u32();
    if (high > 0x20_0000 || (high === 0x20_0000 && low > 0)) throw new StateError("corrupt-row", "number above 2^53");
    return high * TWO_POW_32 + low;
  }

  varint(): number {
    const first = this.u8();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    let scale = 0x80;
    for (;;) {
      const byte = this.u8();
      const more = (byte & 0x7f) * scale;
      // Not `value + more > 2^53`: that sum could round down.
      if (more > 2 ** 53 - value) throw new StateError("corrupt-row", "number above 2^53");
      value += more;
      if (byte < 0x80) return value;
      scale *= 0x80;
      if (scale > 2 ** 53) throw new StateError("corrupt-row", "number of more than 8 bytes");
    }
  }

  svarint(): number {
    const first = this.u8();
    const magnitude = ((first & 0x7f) >>> 1) + (first < 0x80 ? 0 : this.varint() * 0x40);
    if (magnitude > 2 ** 53) throw new StateError("corrupt-row", "number beyond 2^53");
    return (first & 1) === 1 ? -magnitude - 1 : magnitude;
  }

  f64(): number {
    return this.bytes.readDoubleBE(this.#take(8));
  }

  time(): number {
    if (this.inFull) return this.svarint();
    this.#time += this.svarint();
    if (Math.abs(this.#time) > 2 ** 53) throw new StateError("corrupt-row", "time beyond 2^53");
    return this.#time;
  }

  number(): number {
    if (this.inFull) return this.f64();
    const short = this.varint();
    if (short === IN_FULL) return this.f64();
    if ((short & 1) === 1 || short >= 4 * MAX_SHORT_HUNDREDTHS) throw new StateError("corrupt-row", `${short} is no form of a number`);
    return ((short >>> 2) ^ -((short >>> 1) & 1)) / 100;
  }

  /** A copy. */
  bytesCopy(length: number): Buffer {
    const at = this.#take(length);
    return Buffer.from(this.bytes.subarray(at, at + length));
  }

  utf8(length: number): string {
    const at = this.#take(length);
    return this.bytes.toString("utf8", at, at + length);
  }

  /** What ByteWriter.string wrote. */
  string(): string {
    return this.utf8(this.varint());
  }

  /** Throws unless everything was read: trailing bytes mean that the row is not what the reader thinks. */
  expectEnd(): void {
    if (this.position !== this.end) throw new StateError("corrupt-row", `${this.remaining} bytes left over`);
  }

  #take(length: number): number {
    const at = this.position;
    if (at + length > this.end) throw new StateError("corrupt-row", `${length} bytes wanted, ${this.end - at} left`);
    this.position = at + length;
    return at;
  }
}
