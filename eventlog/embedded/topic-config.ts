/** The topic settings that the embedded log honours, by Kafka's names and with Kafka's defaults. */
import { DEFAULT_MAX_MESSAGE_BYTES } from "../topic-defaults.ts";
import { LogError } from "../errors.ts";

export interface TopicConfig {
  readonly compact: boolean;
  readonly delete: boolean;
  /** Undefined: no limit. */
  readonly retentionMs: number | undefined;
  /** Per partition. Undefined: no limit. */
  readonly retentionBytes: number | undefined;
  /** How long a compacted tombstone stays visible to slow readers. */
  readonly deleteRetentionMs: number;
  readonly minCleanableDirtyRatio: number;
  /** Largest batch, header included. */
  readonly maxMessageBytes: number;
}

const DAY_MS = 86_400_000;

/** Throws `invalid-state` for a value that means nothing. */
export function parseTopicConfig(topic: string, config: Readonly<Record<string, string>>): TopicConfig {
  const number = (name: string, fallback: number, min: number, max: number): number => {
    const text = config[name];
    const value = text === undefined ? fallback : Number(text);
    if (text?.trim() === "" || Number.isNaN(value) || value < min || value > max) throw invalid(topic, name, text ?? "");
    return value;
  };
  const limit = (name: string, fallback: number): number | undefined => {
    const value = number(name, fallback, -1, Number.MAX_SAFE_INTEGER);
    return value < 0 ? undefined : value;
  };
  const policies = (config["cleanup.policy"] ?? "delete").split(",").map((policy) => policy.trim());
  if (policies.some((policy) => policy !== "compact" && policy !== "delete")) throw invalid(topic, "cleanup.policy", policies.join(","));
  return {
    compact: policies.includes("compact"),
    delete: policies.includes("delete"),
    retentionMs: limit("retention.ms", 7 * DAY_MS),
    retentionBytes: limit("retention.bytes", -1),
    deleteRetentionMs: number("delete.retention.ms", DAY_MS, 0, Number.MAX_SAFE_INTEGER),
    minCleanableDirtyRatio: number("min.cleanable.dirty.ratio", 0.5, 0, 1),
    maxMessageBytes: number("max.message.bytes", DEFAULT_MAX_MESSAGE_BYTES, 0, 2 ** 31 - 1),
  };
}

function invalid(topic: string, name: string, value: string): LogError {
  return new LogError("invalid-state", `topic ${topic}: ${name} cannot be "${value}"`);
}
