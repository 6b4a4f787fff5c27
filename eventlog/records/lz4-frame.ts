/**
 * LZ4 frames as Java's client reads and writes them for magic 2: independent blocks of 64 KiB, no checksums.
 * Source: lz4_Frame_format.md, lz4_Block_format.md; Lz4BlockInputStream.java refuses dependent blocks. Of npm's packages, lz4js 0.2.0
 * writes blocks that Java refuses (matches within the last twelve bytes), and its decoder does not check bounds.
 */
import { LogError } from "../errors.ts";
import { ByteSink } from "./byte-sink.ts";
import { compressLz4Block, MAX_LZ4_BLOCK_BYTES } from "./lz4-block.ts";

const MAGIC = 0x184d2204;
const FLAG = {
  version: 0x40,
  versionMask: 0xc0,
  independent: 0x20,
  blockChecksum: 0x10,
  contentSize: 0x08,
  contentChecksum: 0x04,
  dictionary: 0x01,
};
/** Block size id 4 in the BD byte: 64 KiB. */
const BLOCK_SIZE_64K = 0x40;
/** Second byte of xxHash32 over these two descriptor bytes, which never differ. */
const HEADER = Buffer.from([0x04, 0x22, 0x4d, 0x18, FLAG.version | FLAG.independent, BLOCK_SIZE_64K, 0x82]);
const STORED_BIT = 0x80000000;
const MIN_MATCH = 4;
/** Largest growth of a block that does not compress. */
const WORST_BLOCK_BYTES = MAX_LZ4_BLOCK_BYTES + Math.ceil(MAX_LZ4_BLOCK_BYTES / 255) + 16;

export function compressLz4Frame(bytes: Buffer): Buffer {
  const out = Buffer.allocUnsafeSlow(HEADER.length + Math.ceil(bytes.length / MAX_LZ4_BLOCK_BYTES) * (4 + WORST_BLOCK_BYTES) + 4);
  let at = HEADER.copy(out);
  for (let start = 0; start < bytes.length; start += MAX_LZ4_BLOCK_BYTES) {
    const end = Math.min(bytes.length, start + MAX_LZ4_BLOCK_BYTES);
    const compressedEnd = compressLz4Block(bytes, start, end, out, at + 4);
    const length = compressedEnd - at - 4;
    if (length < end - start) {
      out.writeUInt32LE(length, at);
      at = compressedEnd;
    } else {
      out.writeUInt32LE(((end - start) | STORED_BIT) >>> 0, at);
      at += 4 + bytes.copy(out, at + 4, start, end);
    }
  }
  out.writeUInt32LE(0, at);
  return out.subarray(0, at + 4);
}

/** Rejects broken input with `corrupt-batch`, and output above `maxBytes` with `batch-too-large`. Checksums are not looked at: the batch has its own. */
export function decompressLz4Frame(bytes: Buffer, maxBytes: number): Buffer {
  const sink = new ByteSink(bytes.length, maxBytes);
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== MAGIC) throw corrupt("no frame header");
  const flags = bytes[4];
  if ((flags & FLAG.versionMask) !== FLAG.version || (flags & FLAG.dictionary) !== 0) throw corrupt("unsupported frame");
  const checksumBytes = flags & FLAG.blockChecksum ? 4 : 0;
  const independent = (flags & FLAG.independent) !== 0;
  let at = 6 + (flags & FLAG.contentSize ? 8 : 0) + 1;
  for (;;) {
    if (at + 4 > bytes.length) throw corrupt("no end mark");
    const size = bytes.readUInt32LE(at);
    at += 4;
    if (size === 0) return sink.take();
    const length = size & ~STORED_BIT;
    const end = at + length;
    if (end + checksumBytes > bytes.length) throw corrupt("truncated block");
    if (size >= STORED_BIT) sink.copy(bytes, at, end);
    else decompressBlock(bytes, at, end, sink, independent ? sink.length : 0);
    at = end + checksumBytes;
  }
}

function decompressBlock(bytes: Buffer, start: number, end: number, sink: ByteSink, oldest: number): void {
  let at = start;
  const extended = (length: number): number => {
    if (length < 15) return length;
    for (;;) {
      if (at >= end) throw corrupt("truncated length");
      const byte = bytes[at++];
      length += byte;
      if (byte !== 255) return length;
    }
  };
  while (at < end) {
    const token = bytes[at++];
    const literals = extended(token >>> 4);
    if (literals > end - at) throw corrupt("truncated literals");
    sink.copy(bytes, at, at + literals);
    at += literals;
    if (at === end) return;
    if (at + 2 > end) throw corrupt("truncated offset");
    const distance = bytes[at] | (bytes[at + 1] << 8);
    at += 2;
    sink.repeat(distance, extended(token & 15) + MIN_MATCH, oldest);
  }
}

function corrupt(what: string): LogError {
  return new LogError("corrupt-batch", `lz4 data is broken: ${what}`);
}
