/** Confluent's wire format: a zero byte, the schema id as 4 bytes big-endian, the Avro bytes. JSON text never begins with a zero byte. */

export const FRAME_HEADER_BYTES = 5;

export function isFramed(bytes: Buffer, start: number, end: number): boolean {
  return end - start >= FRAME_HEADER_BYTES && bytes[start] === 0;
}

/** What decode needs of an Avro type (avsc's). */
export interface AvroDecoder {
  /** Throws on bytes that are too short, too long or otherwise not of the type. */
  fromBuffer(bytes: Buffer): unknown;
}

/** Schemas that were fetched ahead, by id. */
export interface SchemaSource {
  get(id: number): AvroDecoder | undefined;
}
