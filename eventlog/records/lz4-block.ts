/**
 * Compresses one LZ4 block, greedily. Source: lz4_Block_format.md, "End of block conditions": the last five bytes are literals, and no
 * match begins within the last twelve; Java's decoder, and so the broker, refuses a block that breaks either rule.
 */
const MIN_MATCH = 4;
const LAST_LITERALS = 5;
const MATCH_START_LIMIT = 12;
const HASH_BITS = 13;
/** Knuth's multiplier (2^32 by the golden ratio). */
const HASH_FACTOR = 0x9e3779b1;
/** Steps grow by one after so many (as a power of two) bytes without a match. */
const SKIP_SHIFT = 6;
/** The most that a token's half holds; longer lengths go on in bytes behind it. */
const MAX_IN_TOKEN = 15;

export const MAX_LZ4_BLOCK_BYTES = 65_536;

/** Where four bytes were last seen, plus one; reused from block to block. */
const seen = new Int32Array(1 << HASH_BITS);

/** Compresses `bytes[start, end)`, at most 64 KiB, into `out` at `at`, with room for 1/255 more than that and 16. Returns where it ends. */
export function compressLz4Block(bytes: Buffer, start: number, end: number, out: Buffer, at: number): number {
  seen.fill(0);
  const lastStart = end - MATCH_START_LIMIT;
  const lastEnd = end - LAST_LITERALS;
  let anchor = start;
  let position = start;
  while (position <= lastStart) {
    const word = bytes.readInt32LE(position);
    const hash = Math.imul(word, HASH_FACTOR) >>> (32 - HASH_BITS);
    const candidate = start + seen[hash] - 1;
    seen[hash] = position - start + 1;
    if (candidate < start || bytes.readInt32LE(candidate) !== word) {
      position += 1 + ((position - anchor) >> SKIP_SHIFT);
      continue;
    }
    let matched = MIN_MATCH;
    while (position + matched < lastEnd && bytes[position + matched] === bytes[candidate + matched]) matched++;
    at = writeLiterals(bytes, anchor, position, Math.min(matched - MIN_MATCH, MAX_IN_TOKEN), out, at);
    at = out.writeUInt16LE(position - candidate, at);
    if (matched - MIN_MATCH >= MAX_IN_TOKEN) at = writeLength(matched - MIN_MATCH - MAX_IN_TOKEN, out, at);
    position += matched;
    anchor = position;
  }
  return writeLiterals(bytes, anchor, end, 0, out, at);
}

/** A token, whose lower half is the match's, and the literals before the match. */
function writeLiterals(bytes: Buffer, start: number, end: number, matchToken: number, out: Buffer, at: number): number {
  const count = end - start;
  out[at++] = (Math.min(count, MAX_IN_TOKEN) << 4) | matchToken;
  if (count >= MAX_IN_TOKEN) at = writeLength(count - MAX_IN_TOKEN, out, at);
  return at + bytes.copy(out, at, start, end);
}

function writeLength(rest: number, out: Buffer, at: number): number {
  while (rest >= 255) {
    out[at++] = 255;
    rest -= 255;
  }
  out[at++] = rest;
  return at;
}
