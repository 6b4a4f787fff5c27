/** Decodes responses in Kafka's primitive types; byte fields are slices of the response, not copies. */

const TWO_32 = 2 ** 32;

/** Reads past the end throw RangeError, which the connection turns into a LogError. */
export class WireReader {
  readonly #buffer: Buffer;
  #position = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  int8(): number {
    return this.#buffer.readInt8(this.#take(1));
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#take(4));
  }

  /** Exact to 2^53, as the port has it. */
  int64(): number {
    const at = this.#take(8);
    return this.#buffer.readInt32BE(at) * TWO_32 + this.#buffer.readUInt32BE(at + 4);
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#buffer.readUInt8(this.#take(1));
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError("unsigned varint of more than 5 bytes");
  }

  nullableString(): string | null {
    return this.#utf8(this.int16());
  }

  string(): string {
    return this.nullableString() ?? "";
  }

  compactNullableString(): string | null {
    return this.#utf8(this.uvarint() - 1);
  }

  compactString(): string {
    return this.compactNullableString() ?? "";
  }

  /** A slice; empty for null. */
  bytes(): Buffer {
    const length = this.int32();
    if (length <= 0) return this.#buffer.subarray(0, 0);
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  /** Empty for null. */
  array<T>(decode: (reader: this) => T): T[] {
    return this.#items(this.int32(), decode);
  }

  /** Empty for null. */
  compactArray<T>(decode: (reader: this) => T): T[] {
    return this.#items(this.uvarint() - 1, decode);
  }

  /** Skips the tag section that ends every structure of a flexible version (KIP-482). */
  tags(): void {
    const count = this.uvarint();
    for (let i = 0; i < count; i++) {
      this.uvarint();
      this.#take(this.uvarint());
    }
  }

  #items<T>(length: number, decode: (reader: this) => T): T[] {
    const items: T[] = [];
    for (let i = 0; i < length; i++) items.push(decode(this));
    return items;
  }

  #utf8(length: number): string | null {
    if (length < 0) return null;
    const at = this.#take(length);
    return this.#buffer.toString("utf8", at, at + length);
  }

  #take(bytes: number): number {
    const at = this.#position;
    if (at + bytes > this.#buffer.length) throw new RangeError(`response ends at ${this.#buffer.length}, wanted ${at + bytes}`);
    this.#position = at + bytes;
    return at;
  }
}
