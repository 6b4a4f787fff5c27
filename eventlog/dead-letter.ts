/**
 * The dead-letter record: the original key and value bytes untouched, what went wrong as headers, then the original
 * headers. Written by the runtime and by the ingress; read by `sluice dlq`. Source: shared design, section 8.
 */
import { createHash } from "node:crypto";
import type { RecordHeader } from "./port.ts";

export const DLQ_HEADERS = {
  reason: "dlq.reason",
  message: "dlq.message",
  stage: "dlq.stage",
  source: "dlq.source",
  ts: "dlq.ts",
  length: "dlq.length",
  sha256: "dlq.sha256",
} as const;

/** What is kept of a value over the size limit, in bytes: enough to recognise its sender and format. */
export const DEAD_LETTER_KEPT_BYTES = 64 * 1024;
/** `dlq.message` is cut here (UTF-16 units): an error text may quote the input, and a header must stay small. */
const MAX_MESSAGE_LENGTH = 500;

export interface DeadLetter {
  /** A fixed code: DLQ_REASONS of processors/formats/names.ts. */
  readonly reason: string;
  /** For people; cut at 500 characters. */
  readonly message: string;
  /** The processor or part that gave up, e.g. `decode` or `ingress`. */
  readonly stage: string;
  /** Where the input stood: `topic/partition/offset` of the log, or the MQTT topic at ingress. */
  readonly source: string;
  /** Epoch ms. */
  readonly ts: number;
  /** Headers of the input, kept after our own; one named like ours (a re-injected dead letter's) gives way. */
  readonly original?: readonly RecordHeader[];
  /** Set when the value was cut: its full length in bytes and the hex SHA-256 of all of it. */
  readonly cut?: CutValue;
}

export interface CutValue {
  readonly length: number;
  readonly sha256: string;
}

const OWN_NAMES: ReadonlySet<string> = new Set(Object.values(DLQ_HEADERS));

/** The headers of one dead letter, ours first. */
export function deadLetterHeaders(letter: DeadLetter): RecordHeader[] {
  const headers = [
    header(DLQ_HEADERS.reason, letter.reason),
    header(DLQ_HEADERS.message, letter.message.slice(0, MAX_MESSAGE_LENGTH)),
    header(DLQ_HEADERS.stage, letter.stage),
    header(DLQ_HEADERS.source, letter.source),
    header(DLQ_HEADERS.ts, String(letter.ts)),
  ];
  if (letter.cut !== undefined) {
    headers.push(header(DLQ_HEADERS.length, String(letter.cut.length)), header(DLQ_HEADERS.sha256, letter.cut.sha256));
  }
  for (const original of letter.original ?? []) if (!OWN_NAMES.has(original.key)) headers.push(original);
  return headers;
}

/** The value as it goes into the dead-letter topic: untouched up to `maxBytes`, else its first `maxBytes` (a view) and what tells of the rest. */
export function truncateDeadLetter(value: Uint8Array, maxBytes: number): { value: Uint8Array; cut: CutValue | undefined } {
  if (value.length <= maxBytes) return { value, cut: undefined };
  const sha256 = createHash("sha256").update(value).digest("hex");
  return { value: value.subarray(0, maxBytes), cut: { length: value.length, sha256 } };
}

function header(key: string, value: string): RecordHeader {
  return { key, value: Buffer.from(value) };
}
