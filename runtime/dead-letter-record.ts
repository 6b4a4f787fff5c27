/** A dead letter that its topic takes: whole where it may be, else as much of it as fits. */
import { DEAD_LETTER_KEPT_BYTES, deadLetterHeaders, truncateDeadLetter, type DeadLetter } from "../eventlog/dead-letter.ts";
import type { RecordHeader } from "../eventlog/port.ts";
import { RuntimeError } from "./errors.ts";
import { aloneBytes } from "./record-size.ts";

/** The record it is about. */
export interface LetterContent {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
}

/** Both in bytes. */
export interface LetterLimits {
  /** A longer value is cut to DEAD_LETTER_KEPT_BYTES. */
  readonly maxValueBytes: number;
  /** What the dead-letter topic takes. */
  readonly maxRecordBytes: number;
}

/** `dlq.length` and `dlq.sha256` of a value that was cut. */
const CUT_HEADERS_BYTES = 128;

/**
 * The record to be written. What does not fit goes in this order, and the message says so: the value's end, all of the record's
 * headers, the key's end.
 * @throws RuntimeError `record-too-large` when the topic takes less than our own headers need
 */
export function letterRecord(about: Omit<DeadLetter, "cut" | "original">, content: LetterContent, limits: LetterLimits): LetterContent {
  const { maxValueBytes, maxRecordBytes } = limits;
  const { key, value, headers: original } = content;
  const valueBytes = value?.length ?? 0;
  const headers = deadLetterHeaders({ ...about, original });
  if (valueBytes <= maxValueBytes && aloneBytes((key?.length ?? 0) + valueBytes, headers) <= maxRecordBytes) return { key, value, headers };

  const most = valueBytes <= maxValueBytes ? valueBytes : DEAD_LETTER_KEPT_BYTES;
  const unkeyedRoom = maxRecordBytes - CUT_HEADERS_BYTES - aloneBytes(0, deadLetterHeaders(noting(about, "headers left out, key cut")));
  const shortKey = key?.subarray(0, Math.max(0, Math.min(DEAD_LETTER_KEPT_BYTES, unkeyedRoom))) ?? null;
  const attempts = [
    { about, key, original },
    { about: noting(about, "headers left out"), key, original: [] },
    { about: noting(about, "headers left out, key cut"), key: shortKey, original: [] },
  ];
  for (const attempt of attempts) {
    const { about: letter, original: kept } = attempt;
    const fixed = aloneBytes(attempt.key?.length ?? 0, deadLetterHeaders({ ...letter, original: kept })) + CUT_HEADERS_BYTES;
    const room = maxRecordBytes - fixed;
    if (room < 0) continue;
    const { value: beginning, cut } =
      value === null ? { value, cut: undefined } : truncateDeadLetter(value, room < most ? Math.min(room, DEAD_LETTER_KEPT_BYTES) : most);
    return { key: attempt.key, value: asBuffer(beginning), headers: deadLetterHeaders({ ...letter, original: kept, cut }) };
  }
  throw new RuntimeError(
    "record-too-large",
    `the dead-letter topic takes records of ${maxRecordBytes} bytes, too little for any letter (max.message.bytes): ${about.message}`,
  );
}

/** At the front: a long message is cut at its end. */
function noting<T extends { readonly message: string }>(about: T, what: string): T {
  return { ...about, message: `(${what}) ${about.message}` };
}

function asBuffer(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
