/** Zigzag varints as in record format v2 (Protocol Buffers' encoding; ByteUtils.java). */

const MIN_INT32 = -0x80000000;
const MAX_INT32 = 0x7fffffff;

/** Bytes that `writeVarint` takes for a signed 32-bit number. */
export function varintSize(value: number): number {
  const bits = ((value << 1) ^ (value >> 31)) >>> 0;
  if (bits < 0x80) return 1;
  if (bits < 0x4000) return 2;
  if (bits < 0x200000) return 3;
  return bits < 0x10000000 ? 4 : 5;
}

/** Writes a signed 32-bit number and returns the position after it. */
export function writeVarint(bytes: Buffer, value: number, position: number): number {
  let bits = ((value << 1) ^ (value >> 31)) >>> 0;
  while (bits >= 0x80) {
    bytes[position++] = (bits & 0x7f) | 0x80;
    bits >>>= 7;
  }
  bytes[position++] = bits;
  return position;
}

/** Bytes that `writeVarlong` takes for a whole number. */
export function varlongSize(value: number): number {
  if (value >= MIN_INT32 && value <= MAX_INT32) return varintSize(value);
  let size = 1;
  for (let bits = zigzag64(value) >> 7n; bits > 0n; bits >>= 7n) size++;
  return size;
}

/** Writes a whole number (up to 2^54) and returns the position after it. */
export function writeVarlong(bytes: Buffer, value: number, position: number): number {
  if (value >= MIN_INT32 && value <= MAX_INT32) return writeVarint(bytes, value, position);
  let bits = zigzag64(value);
  while (bits >= 0x80n) {
    bytes[position++] = Number(bits & 0x7fn) | 0x80;
    bits >>= 7n;
  }
  bytes[position++] = Number(bits);
  return position;
}

/** Deltas beyond 32 bits (25 days within a batch) are rare enough for BigInt. */
function zigzag64(value: number): bigint {
  const wide = BigInt(value);
  return wide < 0n ? -wide * 2n - 1n : wide * 2n;
}
