/** Why a letter cannot be put back. */
import { sourceOf, type Letter } from "./letter.ts";

/** Codes, with what they mean to people. */
export const REFUSALS = {
  cut: "only the beginning of the value was kept",
  "not-a-source": "an output record of the job that was too large, and nothing that it reads",
  "no-key": "the ingress could not tell whose it was",
  "foreign-topic": "the topic it came from is none that this application reads (--source-topic names it if you mean it)",
  "unknown-topic": "the topic it came from does not exist any more",
  expired: "older than the retention of the topic it came from, which would delete it unread",
  "too-large": "larger than the topic it came from takes",
} as const;
export type Refusal = keyof typeof REFUSALS;

/** What is known of a topic that letters go back to. */
export interface Target {
  readonly partitions: number;
  /** Undefined: for ever. */
  readonly retentionMs: number | undefined;
  readonly maxMessageBytes: number;
}

/** Of a batch of one record, and of each header; varints at their longest. */
const RECORD_OVERHEAD_BYTES = 61 + 40;
const HEADER_OVERHEAD_BYTES = 10;
/** `dlq.reason` of runtime/dead-letters.ts for an output record; the ingress calls a payload over its limit `too-large`. */
const OUTPUT_TOO_LARGE = "record-too-large";
/** How runtime/dead-letter-record.ts begins the message of a letter that its topic did not take whole. */
const LEFT_OUT = /^\(headers left out/;

export function refusalOf(
  letter: Letter,
  targets: ReadonlyMap<string, Target | undefined>,
  topic: string,
  now: number,
): Refusal | undefined {
  const { key, value, headers, timestamp, cutFrom, reason, message } = letter;
  if (cutFrom !== undefined || LEFT_OUT.test(message)) return "cut";
  if (reason === OUTPUT_TOO_LARGE) return "not-a-source";
  if (sourceOf(letter) === undefined && key === null) return "no-key";
  if (!targets.has(topic)) return "foreign-topic";
  const target = targets.get(topic);
  if (target === undefined) return "unknown-topic";
  if (timestamp >= 0 && target.retentionMs !== undefined && now - timestamp >= target.retentionMs) return "expired";
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += HEADER_OVERHEAD_BYTES + Buffer.byteLength(header.key) + (header.value?.length ?? 0);
  return bytes > target.maxMessageBytes ? "too-large" : undefined;
}
