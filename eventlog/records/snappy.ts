/**
 * Snappy as Kafka clients use it: Java writes xerial frames (SnappyOutputStream), librdkafka may write one raw block.
 * Both are read; xerial frames are written. Source: snappy's format_description.txt, xerial's SnappyCodec.java.
 */
import { compress as compressBlock } from "snappyjs";
import { LogError } from "../errors.ts";
import { ByteSink } from "./byte-sink.ts";

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
/** Magic, then version 1 and lowest compatible version 1. */
const XERIAL_HEADER = Buffer.concat([XERIAL_MAGIC, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])]);
/** SnappyOutputStream's default block size. */
const BLOCK_BYTES = 32_768;

export function compressSnappy(bytes: Buffer): Buffer {
  const parts: Uint8Array[] = [XERIAL_HEADER];
  for (let start = 0; start < bytes.length; start += BLOCK_BYTES) {
    const block = compressBlock(bytes.subarray(start, Math.min(bytes.length, start + BLOCK_BYTES)));
    const length = Buffer.allocUnsafe(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

/** Rejects broken input with `corrupt-batch`, and output above `maxBytes` with `batch-too-large`. */
export function decompressSnappy(bytes: Buffer, maxBytes: number): Buffer {
  const sink = new ByteSink(bytes.length, maxBytes);
  if (bytes.length < XERIAL_HEADER.length || XERIAL_MAGIC.compare(bytes, 0, XERIAL_MAGIC.length) !== 0) {
    decompressBlock(bytes, 0, bytes.length, sink);
    return sink.take();
  }
  let at = XERIAL_HEADER.length;
  while (at < bytes.length) {
    if (at + 4 > bytes.length) throw corrupt("truncated block length");
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0 || length > bytes.length - at) throw corrupt("truncated block");
    decompressBlock(bytes, at, at + length, sink);
    at += length;
  }
  return sink.take();
}

function decompressBlock(bytes: Buffer, start: number, end: number, sink: ByteSink): void {
  const oldest = sink.length;
  let at = start;
  let expected = 0;
  for (let shift = 0; ; shift += 7) {
    if (at >= end || shift > 28) throw corrupt("bad length");
    const byte = bytes[at++];
    expected += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  while (at < end) {
    const tag = bytes[at++];
    const kind = tag & 3;
    if (kind === 0) {
      let length = tag >>> 2;
      if (length >= 60) {
        const lengthBytes = length - 59;
        if (lengthBytes > end - at) throw corrupt("truncated literal length");
        length = bytes.readUIntLE(at, lengthBytes);
        at += lengthBytes;
      }
      length++;
      if (length > end - at) throw corrupt("truncated literal");
      sink.copy(bytes, at, at + length);
      at += length;
    } else {
      const distanceBytes = kind === 3 ? 4 : kind;
      if (distanceBytes > end - at) throw corrupt("truncated copy");
      const length = kind === 1 ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2);
      const distance = kind === 1 ? ((tag >>> 5) << 8) | bytes[at] : bytes.readUIntLE(at, distanceBytes);
      at += distanceBytes;
      sink.repeat(distance, length, oldest);
    }
    if (sink.length - oldest > expected) throw corrupt("more bytes than announced");
  }
  if (sink.length - oldest !== expected) throw corrupt("fewer bytes than announced");
}

function corrupt(what: string): LogError {
  return new LogError("corrupt-batch", `snappy data is broken: ${what}`);
}
