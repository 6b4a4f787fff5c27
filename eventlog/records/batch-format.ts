/** Record batch v2 on the wire. Source: Kafka's protocol documentation, "Record Batch", and DefaultRecordBatch.java. */

/** Positions within a batch. The checksum covers everything from `attributes` to the batch's end. */
export const AT = {
  baseOffset: 0,
  batchLength: 8,
  partitionLeaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57,
  records: 61,
} as const;

/** Bytes before the first record. */
export const HEADER_BYTES = 61;
/** `batchLength` counts what follows it: offset and length themselves are not in it. */
export const LENGTH_PREFIX_BYTES = 12;
export const MAGIC_V2 = 2;
/** Length, attributes, timestamp delta, offset delta, key length, value length and header count, a byte each. */
export const MIN_RECORD_BYTES = 7;

/** Bits of `attributes`. */
export const ATTRIBUTE = { compressionMask: 0x07, logAppendTime: 0x08, transactional: 0x10, control: 0x20 } as const;

export const NO_PRODUCER_ID = -1;
export const NO_PRODUCER_EPOCH = -1;
export const NO_SEQUENCE = -1;

const TWO_32 = 2 ** 32;

export function writeInt64(bytes: Buffer, value: number, position: number): void {
  const high = Math.floor(value / TWO_32);
  bytes.writeInt32BE(high, position);
  bytes.writeUInt32BE(value - high * TWO_32, position + 4);
}

/** Exact up to 2^53 either way; callers check `Number.isSafeInteger` where the bytes are not trusted. */
export function readInt64(bytes: Buffer, position: number): number {
  return bytes.readInt32BE(position) * TWO_32 + bytes.readUInt32BE(position + 4);
}
