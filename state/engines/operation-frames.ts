/** Engine operations as bytes, to hand a batch to another thread without a clone: `[u32 key length][u32 value length][key][value]`. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { EngineOp } from "./engine.ts";

/** A frame that does not fit gets one of its own size. */
const FRAME_BYTES = 1 << 20;

const HEADER_BYTES = 8;

/** In place of the value's length. */
const DELETED = 0xffff_ffff;

/** The longest stretch without giving the event loop a turn. Half of the 10 ms that a slice may take. */
const SLICE_MS = 5;

/** The clock is read once in so many rows (about 0.1 ms). */
const ROWS_PER_CLOCK_READ = 256;

export interface Frame {
  readonly buffer: ArrayBuffer;
  /** Bytes used. */
  readonly length: number;
}

/** Copies; the event loop gets turns meanwhile. */
export async function toFrames(ops: Iterable<EngineOp>): Promise<Frame[]> {
  const frames: Frame[] = [];
  let bytes = Buffer.allocUnsafeSlow(FRAME_BYTES);
  let at = 0;
  let rows = 0;
  let sliceStart = performance.now();
  for (const { key, value } of ops) {
    const size = HEADER_BYTES + key.length + (value?.length ?? 0);
    if (at + size > bytes.length) {
      if (at > 0) frames.push({ buffer: bytes.buffer, length: at });
      bytes = Buffer.allocUnsafeSlow(Math.max(FRAME_BYTES, size));
      at = 0;
    }
    at = bytes.writeUInt32LE(key.length, at);
    at = bytes.writeUInt32LE(value?.length ?? DELETED, at);
    bytes.set(key, at);
    at += key.length;
    if (value !== undefined) bytes.set(value, at);
    at += value?.length ?? 0;
    if (++rows % ROWS_PER_CLOCK_READ === 0 && performance.now() - sliceStart > SLICE_MS) {
      await nextTurn();
      sliceStart = performance.now();
    }
  }
  if (at > 0) frames.push({ buffer: bytes.buffer, length: at });
  return frames;
}

/** The operations in their order; keys and values are views of the frames. */
export function* fromFrames(frames: readonly Frame[]): Iterable<EngineOp> {
  for (const { buffer, length } of frames) {
    const bytes = Buffer.from(buffer, 0, length);
    for (let at = 0; at < length;) {
      const keyEnd = at + HEADER_BYTES + bytes.readUInt32LE(at);
      const valueLength = bytes.readUInt32LE(at + 4);
      const key = bytes.subarray(at + HEADER_BYTES, keyEnd);
      at = valueLength === DELETED ? keyEnd : keyEnd + valueLength;
      yield { key, value: valueLength === DELETED ? undefined : bytes.subarray(keyEnd, at) };
    }
  }
}
