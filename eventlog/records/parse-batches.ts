/** Reads the record batches of a fetch response (or of the embedded log's rows). The bytes are not trusted. */
import { LogError } from "../errors.ts";
import { AT, HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC_V2 } from "./batch-format.ts";
import { crc32c } from "./crc32c.ts";
import { ParsedBatch } from "./parsed-batch.ts";

export interface ParseOptions {
  /** Default true. Off only for bytes whose checksum was checked before. */
  readonly checkCrc?: boolean;
  /** Default "skip": a broker cuts a fetch off anywhere. "error" for stored bytes, which must be whole. */
  readonly partialTail?: "skip" | "error";
}

/**
 * The batches in `bytes[start, end)`, in order. Throws `corrupt-batch` for a batch that is broken or older than format v2
 * (magic 0 and 1, which Kafka 4 no longer serves). Empty although `end > start` means that not even one batch was whole.
 */
export function* parseBatches(
  bytes: Buffer,
  start = 0,
  end: number = bytes.length,
  options: ParseOptions = {},
): Generator<ParsedBatch, void> {
  const checkCrc = options.checkCrc ?? true;
  let at = start;
  while (at < end) {
    const batchEnd = wholeBatchEnd(bytes, at, end);
    if (batchEnd === undefined) {
      if (options.partialTail === "error") throw new LogError("corrupt-batch", `record batch at byte ${at} is cut off`);
      return;
    }
    if (checkCrc && crc32c(bytes, at + AT.attributes, batchEnd) !== bytes.readUInt32BE(at + AT.crc)) {
      throw new LogError("corrupt-batch", `record batch at byte ${at} fails its checksum`);
    }
    yield new ParsedBatch(bytes, at, batchEnd);
    at = batchEnd;
  }
}

/** Undefined when the batch that begins at `at` does not end before `end`. */
function wholeBatchEnd(bytes: Buffer, at: number, end: number): number | undefined {
  if (end - at <= AT.magic) return undefined;
  const magic = bytes[at + AT.magic];
  if (magic !== MAGIC_V2) {
    throw new LogError("corrupt-batch", `record batch at byte ${at} has format version ${magic}; only version ${MAGIC_V2} is supported`);
  }
  const length = bytes.readInt32BE(at + AT.batchLength);
  if (length < HEADER_BYTES - LENGTH_PREFIX_BYTES) throw new LogError("corrupt-batch", `record batch at byte ${at} has length ${length}`);
  const batchEnd = at + LENGTH_PREFIX_BYTES + length;
  return batchEnd > end ? undefined : batchEnd;
}
