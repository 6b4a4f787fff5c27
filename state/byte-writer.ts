/** Appends binary values to one buffer that grows by doubling and is reused. */

const INITIAL_BYTES = 256;

/** Up to here a loop over ASCII characters beats a call into native code. Characters. */
const SHORT_STRING_CHARS = 48;

/** Decimals with up to so many digits after the point are written without a string. */
const FRACTION_DIGITS = 6;
const FRACTION_SCALE = 10 ** FRACTION_DIGITS;
/** Below it they have at most 15 digits. */
const MAX_SHORT_DECIMAL = 1e9;
/** Sign, 2^53 - 1, point and fraction. */
const MAX_DECIMAL_BYTES = 1 + 16 + 1 + FRACTION_DIGITS;
const WORD_BYTES = 4;
/** Below it, in hundredths, number() has a short form. */
export const MAX_SHORT_HUNDREDTHS = 2 ** 28;
/** What number() has in place of a short form, before the eight bytes: no short form is odd. */
export const IN_FULL = 1;
const MINUS = 0x2d;
const ZERO = 0x30;
const POINT = 0x2e;
const TWO_POW_28 = 2 ** 28;
const TWO_POW_32 = 0x1_0000_0000;

/** A text that is written again and again: piece() copies it four bytes a step, where utf8() looks at each character. */
export class TextPiece {
  /** UTF-8, and zeros up to a whole word. */
  readonly words: DataView;
  /** Of the text, bytes. */
  readonly length: number;

  constructor(text: string) {
    const bytes = Buffer.from(text);
    const words = new Uint8Array(Math.ceil(bytes.length / WORD_BYTES) * WORD_BYTES);
    words.set(bytes);
    this.words = new DataView(words.buffer);
    this.length = bytes.length;
  }
}

/**
 * Multi-byte numbers are big-endian. `buffer` is replaced when it grows: read it again after writing.
 * Numbers are split by Math.floor, one instruction: `%` of what is no small integer is a call into C.
 */
export class ByteWriter {
  buffer: Buffer;
  /** Where the next byte goes; also the number of bytes written. */
  position = 0;
  /** Of `buffer`: floats go through it because the engine inlines it, unlike Buffer's methods. */
  #view: DataView;
  /** The last of time(). */
  #time = 0;

  constructor(initialBytes: number = INITIAL_BYTES) {
    this.buffer = Buffer.allocUnsafeSlow(Math.max(1, initialBytes));
    this.#view = new DataView(this.buffer.buffer);
  }

  reset(): void {
    this.position = 0;
  }

  u8(value: number): void {
    if (this.position >= this.buffer.length) this.#grow(1);
    this.buffer[this.position++] = value;
  }

  u16(value: number): void {
    if (this.position + 2 > this.buffer.length) this.#grow(2);
    const { buffer } = this;
    buffer[this.position++] = value >>> 8;
    buffer[this.position++] = value;
  }

  u32(value: number): void {
    if (this.position + 4 > this.buffer.length) this.#grow(4);
    const { buffer } = this;
    buffer[this.position++] = value >>> 24;
    buffer[this.position++] = value >>> 16;
    buffer[this.position++] = value >>> 8;
    buffer[this.position++] = value;
  }

  i32(value: number): void {
    this.u32(value >>> 0);
  }

  /** Eight bytes; an integer from 0 to 2^53 (RangeError otherwise), so byte order is numeric order. */
  u64(value: number): void {
    if (!(value >= 0 && value <= 2 ** 53) || Math.floor(value) !== value) throw new RangeError(`not an integer from 0 to 2^53: ${value}`);
    const high = Math.floor(value / TWO_POW_32);
    this.u32(high);
    this.u32((value - high * TWO_POW_32) | 0);
  }

  /** Unsigned LEB128; an integer from 0 to 2^53 (RangeError otherwise). */
  varint(value: number): void {
    if (value >= 0 && value < 0x80 && (value & 0x7f) === value) {
      if (this.position >= this.buffer.length) this.#grow(1);
      this.buffer[this.position++] = value;
      return;
    }
    if (!(value >= 0 && value <= 2 ** 53) || Math.floor(value) !== value) throw new RangeError(`not an integer from 0 to 2^53: ${value}`);
    if (this.position + 8 > this.buffer.length) this.#grow(8);
    const { buffer } = this;
    let rest = value;
    if (rest >= TWO_POW_28) {
      // four groups of seven bits at once, as integers: times take this way
      const high = Math.floor(value / TWO_POW_28);
      const low = value - high * TWO_POW_28;
      const { position } = this;
      buffer[position] = (low & 0x7f) | 0x80;
      buffer[position + 1] = ((low >>> 7) & 0x7f) | 0x80;
      buffer[position + 2] = ((low >>> 14) & 0x7f) | 0x80;
      buffer[position + 3] = (low >>> 21) | 0x80;
      this.position = position + 4;
      rest = high;
    }
    while (rest >= 0x80) {
      buffer[this.position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[this.position++] = rest;
  }

  /** Zigzag: small magnitudes of either sign are short. An integer from -2^53 to 2^53 (RangeError otherwise). */
  svarint(value: number): void {
    if (value >= -0x2000_0000 && value < 0x2000_0000 && (value | 0) === value) {
      this.varint(((value << 1) ^ (value >> 31)) >>> 0);
      return;
    }
    if (!(value >= -(2 ** 53) && value <= 2 ** 53) || Math.floor(value) !== value)
      throw new RangeError(`not an integer within 2^53: ${value}`);
    // Doubling could pass 2^53, where odd numbers end: the low seven bits are written apart.
    const negative = value < 0;
    const magnitude = negative ? -(value + 1) : value;
    const high = Math.floor(magnitude / 0x40);
    this.u8(((magnitude - high * 0x40) << 1) | (negative ? 1 : 0) | 0x80);
    this.varint(high);
  }

  f64(value: number): void {
    if (this.position + 8 > this.buffer.length) this.#grow(8);
    this.#view.setFloat64(this.position, value);
    this.position += 8;
  }

  /** Of a row, before the first time(). */
  startTimes(): void {
    this.#time = 0;
  }

  /**
   * The distance from the row's time before, in one to three bytes mostly, where a time takes six or seven. An integer within 2^52; beyond it
   * the distance may be a RangeError.
   */
  time(value: number): void {
    this.svarint(value - this.#time);
    this.#time = value;
  }

  /** Any number, bit for bit: integers and what has up to two digits behind the point, as most sensors' values, in one to five bytes. */
  number(value: number): void {
    const hundredths = Math.round(value * 100);
    const isShort =
      hundredths > -MAX_SHORT_HUNDREDTHS &&
      hundredths < MAX_SHORT_HUNDREDTHS &&
      hundredths / 100 === value &&
      (hundredths !== 0 || 1 / value > 0); // -0 is a number of its own
    if (isShort) {
      this.varint(((hundredths << 1) ^ (hundredths >> 31)) << 1);
      return;
    }
    this.u8(IN_FULL);
    this.f64(value);
  }

  bytes(source: Uint8Array, start: number = 0, end: number = source.length): void {
    const length = end - start;
    if (this.position + length > this.buffer.length) this.#grow(length);
    const { buffer, position } = this;
    if (length <= SHORT_STRING_CHARS) {
      for (let i = 0; i < length; i++) buffer[position + i] = source[start + i];
    } else {
      buffer.set(start === 0 && end === source.length ? source : source.subarray(start, end), position);
    }
    this.position = position + length;
  }

  /** Without a length. Lone surrogates become U+FFFD, as everywhere in Node. */
  utf8(text: string): void {
    const { length } = text;
    if (length <= SHORT_STRING_CHARS) {
      if (this.position + length > this.buffer.length) this.#grow(length);
      const { buffer, position } = this;
      let i = 0;
      for (; i < length; i++) {
        const code = text.charCodeAt(i);
        if (code >= 0x80) break;
        buffer[position + i] = code;
      }
      if (i === length) {
        this.position = position + length;
        return;
      }
    }
    // Three bytes a UTF-16 unit is the most there can be.
    if (this.position + 3 * length > this.buffer.length) this.#grow(3 * length);
    this.position += this.buffer.write(text, this.position, "utf8");
  }

  /** Its last word's zeros lie behind `position`, for the next write. */
  piece({ words, length }: TextPiece): void {
    if (this.position + words.byteLength > this.buffer.length) this.#grow(words.byteLength);
    const { position } = this;
    const view = this.#view;
    for (let i = 0; i < length; i += WORD_BYTES) view.setInt32(position + i, words.getInt32(i));
    this.position = position + length;
  }

  /** A finite number as JSON has it: `String(value)`. Integers and short decimals, most of what sensors send, go without a string. */
  decimal(value: number): void {
    const magnitude = value < 0 ? -value : value;
    if (this.position + MAX_DECIMAL_BYTES > this.buffer.length) this.#grow(MAX_DECIMAL_BYTES);
    if (Math.floor(magnitude) === magnitude && magnitude <= Number.MAX_SAFE_INTEGER) {
      if (value < 0) this.buffer[this.position++] = MINUS;
      this.#integer(magnitude);
      return;
    }
    this.#withFraction(value, magnitude);
  }

  /**
   * There is room. No two decimals of up to 15 digits are the same number: when one of them is the value, it is the shortest there is. Most
   * have one or two behind the point.
   */
  #withFraction(value: number, magnitude: number): void {
    let digits = 2;
    let scale = 100;
    let scaled = Math.round(magnitude * scale);
    if (scaled / scale !== magnitude) {
      digits = FRACTION_DIGITS;
      scale = FRACTION_SCALE;
      scaled = Math.round(magnitude * scale);
    }
    if (magnitude >= MAX_SHORT_DECIMAL || scaled / scale !== magnitude) {
      this.utf8(String(value));
      return;
    }
    if (value < 0) this.buffer[this.position++] = MINUS;
    const whole = Math.floor(magnitude);
    this.#integer(whole);
    this.#fraction(scaled - whole * scale, digits);
  }

  /** From 0 to 2^53 - 1; there is room. */
  #integer(value: number): void {
    const high = Math.floor(value / 1e9);
    if (high === 0) {
      this.#digits(value, digitCount(value));
      return;
    }
    if (high >= 1e6) this.utf8(String(high));
    else this.#digits(high, digitCount(high));
    this.#digits(value - high * 1e9, 9);
  }

  /** The point and the last `digits` digits of `scaled`, without zeros at the end; there is room. */
  #fraction(scaled: number, digits: number): void {
    let count = digits;
    let rest = scaled | 0;
    for (let tenth = (rest / 10) | 0; tenth * 10 === rest; tenth = (rest / 10) | 0) {
      rest = tenth;
      count--;
    }
    this.buffer[this.position++] = POINT;
    this.#digits(rest, count);
  }

  #digits(value: number, count: number): void {
    const { buffer, position } = this;
    let rest = value | 0;
    for (let i = count - 1; i >= 0; i--) {
      const tenth = (rest / 10) | 0;
      buffer[position + i] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.position = position + count;
  }

  /** The UTF-8 length as a varint, then the text. */
  string(text: string): void {
    const { length } = text;
    if (length < 0x80 && length <= SHORT_STRING_CHARS) {
      // Most strings are short ASCII: guess one length byte, and correct it when the guess was wrong.
      const start = this.position;
      this.u8(length);
      this.utf8(text);
      const written = this.position - start - 1;
      if (written === length) return;
      this.position = start;
      this.varint(written);
      this.utf8(text);
      return;
    }
    this.varint(Buffer.byteLength(text, "utf8"));
    this.utf8(text);
  }

  /** One byte a character; for byte strings made by `toString("latin1")`. */
  latin1(text: string): void {
    const { length } = text;
    if (this.position + length > this.buffer.length) this.#grow(length);
    this.position += this.buffer.write(text, this.position, "latin1");
  }

  /** A copy of what was written. */
  toBuffer(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.position));
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.position + needed));
    grown.set(this.buffer.subarray(0, this.position));
    this.buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Of an integer from 0 to 10^9 - 1. */
function digitCount(value: number): number {
  if (value < 1e3) return value < 10 ? 1 : value < 100 ? 2 : 3;
  if (value < 1e6) return value < 1e4 ? 4 : value < 1e5 ? 5 : 6;
  return value < 1e7 ? 7 : value < 1e8 ? 8 : 9;
}
