/**
 * CRC-32C for where the processor's instruction cannot be had. Slicing-by-8: eight table look-ups for eight bytes,
 * on three stretches of the bytes at once, because each look-up waits for the one before it. Source of the method:
 * Intel's slicing-by-8 paper (Kounavis, Berry 2005); joining stretches as in zlib's crc32_combine.
 */

/** Reversed form of the Castagnoli polynomial 0x1EDC6F41 (RFC 3720, appendix B.4). */
const POLYNOMIAL = 0x82f63b78;

/** Bytes of one of the three stretches. */
const STRETCH_BYTES = 512;
const STRETCH_WORDS = STRETCH_BYTES / 4;

function makeTables(): Int32Array[] {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[0][byte] = crc;
  }
  for (let slice = 1; slice < 8; slice++) {
    for (let byte = 0; byte < 256; byte++) {
      const previous = tables[slice - 1][byte];
      tables[slice][byte] = tables[0][previous & 0xff] ^ (previous >>> 8);
    }
  }
  return tables;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = makeTables();

/** What a crc becomes when a stretch of zeros follows: linear, so one table for each of its four bytes. */
const [S0, S1, S2, S3] = Array.from({ length: 4 }, (_, place) =>
  Int32Array.from({ length: 256 }, (_byte, byte) => {
    let crc = byte << (8 * place);
    for (let i = 0; i < STRETCH_BYTES; i++) crc = T0[crc & 0xff] ^ (crc >>> 8);
    return crc;
  }),
);

/** Typed arrays are in the machine's byte order, and the stretches need little-endian. */
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** The checksum of `bytes[start, end)` as an unsigned 32-bit number. */
export function crc32cByTables(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1;
  let i = start;
  if (IS_LITTLE_ENDIAN && end - start > 4 * STRETCH_BYTES) {
    for (; ((bytes.byteOffset + i) & 3) !== 0; i++) crc = T0[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
    const stretches = Math.floor((end - i) / (3 * STRETCH_BYTES));
    crc = ofStretches(crc, new Int32Array(bytes.buffer, bytes.byteOffset + i, stretches * 3 * STRETCH_WORDS));
    i += stretches * 3 * STRETCH_BYTES;
  }
  for (const blocksEnd = end - 7; i < blocksEnd; i += 8) {
    crc ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    crc =
      T7[crc & 0xff] ^
      T6[(crc >>> 8) & 0xff] ^
      T5[(crc >>> 16) & 0xff] ^
      T4[crc >>> 24] ^
      T3[bytes[i + 4]] ^
      T2[bytes[i + 5]] ^
      T1[bytes[i + 6]] ^
      T0[bytes[i + 7]];
  }
  for (; i < end; i++) crc = T0[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** A whole number of times three stretches. */
function ofStretches(crc: number, words: Int32Array): number {
  for (let block = 0; block < words.length; block += 3 * STRETCH_WORDS) {
    let second = 0;
    let third = 0;
    for (let i = block; i < block + STRETCH_WORDS; i += 2) {
      crc = eightBytes(crc ^ words[i], words[i + 1]);
      second = eightBytes(second ^ words[i + STRETCH_WORDS], words[i + STRETCH_WORDS + 1]);
      third = eightBytes(third ^ words[i + 2 * STRETCH_WORDS], words[i + 2 * STRETCH_WORDS + 1]);
    }
    crc = followedByZeros(followedByZeros(crc) ^ second) ^ third;
  }
  return crc;
}

function eightBytes(low: number, high: number): number {
  return (
    T7[low & 0xff] ^
    T6[(low >>> 8) & 0xff] ^
    T5[(low >>> 16) & 0xff] ^
    T4[low >>> 24] ^
    T3[high & 0xff] ^
    T2[(high >>> 8) & 0xff] ^
    T1[(high >>> 16) & 0xff] ^
    T0[high >>> 24]
  );
}

function followedByZeros(crc: number): number {
  return S0[crc & 0xff] ^ S1[(crc >>> 8) & 0xff] ^ S2[(crc >>> 16) & 0xff] ^ S3[crc >>> 24];
}
