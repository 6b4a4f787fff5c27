/** Encodes requests in Kafka's primitive types. Source: Kafka's protocol guide, "Protocol Primitive Types". */

const INITIAL_BYTES = 512;
/** Buffers of at least this many bytes are sent as they are; smaller ones are cheaper to copy than to write apart. */
const OWN_CHUNK_BYTES = 4096;
const TWO_32 = 2 ** 32;

export class WireWriter {
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #position = 0;
  #chunkStart = 0;
  #chunks: Buffer[] = [];
  #chunkBytes = 0;

  int8(value: number): this {
    const at = this.#advance(1);
    this.#buffer.writeInt8(value, at);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  int16(value: number): this {
    const at = this.#advance(2);
    this.#buffer.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#advance(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  /** A safe integer. */
  int64(value: number): this {
    const at = this.#advance(8);
    const high = Math.floor(value / TWO_32);
    this.#buffer.writeInt32BE(high, at);
    this.#buffer.writeUInt32BE(value - high * TWO_32, at + 4);
    return this;
  }

  uvarint(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      const at = this.#advance(1);
      this.#buffer[at] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    const at = this.#advance(1);
    this.#buffer[at] = rest;
    return this;
  }

  string(value: string): this {
    const bytes = Buffer.byteLength(value);
    this.int16(bytes);
    this.#utf8(value, bytes);
    return this;
  }

  nullableString(value: string | null | undefined): this {
    return value === null || value === undefined ? this.int16(-1) : this.string(value);
  }

  compactString(value: string): this {
    const bytes = Buffer.byteLength(value);
    this.uvarint(bytes + 1);
    this.#utf8(value, bytes);
    return this;
  }

  compactNullableString(value: string | null | undefined): this {
    return value === null || value === undefined ? this.uvarint(0) : this.compactString(value);
  }

  /** Bytes with an int32 length; large ones are not copied and must not change until the request is answered. */
  bytes(value: Buffer): this {
    this.int32(value.length);
    return this.raw(value);
  }

  raw(value: Buffer): this {
    if (value.length < OWN_CHUNK_BYTES) {
      const at = this.#advance(value.length);
      value.copy(this.#buffer, at);
      return this;
    }
    this.#cut();
    this.#chunks.push(value);
    this.#chunkBytes += value.length;
    return this;
  }

  array<T>(items: readonly T[], encode: (writer: this, item: T) => void): this {
    this.int32(items.length);
    for (const item of items) encode(this, item);
    return this;
  }

  compactArray<T>(items: readonly T[], encode: (writer: this, item: T) => void): this {
    this.uvarint(items.length + 1);
    for (const item of items) encode(this, item);
    return this;
  }

  /** An empty tag section, which ends every structure of a flexible version (KIP-482). */
  noTags(): this {
    return this.int8(0);
  }

  /** Everything written, in order, as the pieces to put on the socket. The writer is spent. */
  finish(): Buffer[] {
    this.#cut();
    return this.#chunks;
  }

  get byteLength(): number {
    return this.#chunkBytes + this.#position - this.#chunkStart;
  }

  #utf8(value: string, bytes: number): void {
    const at = this.#advance(bytes);
    this.#buffer.write(value, at, "utf8");
  }

  #advance(bytes: number): number {
    const at = this.#position;
    if (at + bytes > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, at + bytes));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    this.#position = at + bytes;
    return at;
  }

  #cut(): void {
    if (this.#position === this.#chunkStart) return;
    this.#chunks.push(this.#buffer.subarray(this.#chunkStart, this.#position));
    this.#chunkBytes += this.#position - this.#chunkStart;
    this.#chunkStart = this.#position;
  }
}
