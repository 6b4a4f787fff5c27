/** Partition counts and size limits of the topics a topology names: loaded at start, and a limit again when its topic refuses a batch. */
import { DEFAULT_MAX_MESSAGE_BYTES } from "../eventlog/topic-defaults.ts";
import type { RefusedBatch } from "../eventlog/errors.ts";
import type { EventLog } from "../eventlog/port.ts";
import type { Topology } from "../topology/topology.ts";
import { RuntimeError } from "./errors.ts";

/** The largest record that a topic takes. */
export interface RecordLimit {
  /** Of a batch of that record alone. */
  readonly bytes: number;
  /** A record was refused: the next ones are weighed with all they have, however small they look. */
  readonly isTight: boolean;
}

export class PartitionCounts {
  readonly #log: EventLog;
  readonly #counts = new Map<string, number>();
  /** `max.message.bytes`, as it was last asked for. */
  readonly #limits = new Map<string, number>();
  /** What refusals have taught beside that, bytes. */
  readonly #recordLimits = new Map<string, number>();
  readonly #batchLimits = new Map<string, number>();
  constructor(log: EventLog) {
    this.#log = log;
  }
  /** @throws LogError `unknown-topic` with the topic's name. */
  async load(topology: Topology, deadLetterTopic: string | undefined, changelogs: readonly string[]): Promise<void> {
    const topics = new Set(topology.subtopologies.flatMap(({ sources, sinks }) => [...sources, ...sinks].map((node) => node.topic)));
    if (deadLetterTopic !== undefined) topics.add(deadLetterTopic);
    await Promise.all([...topics].map(async (topic) => this.#counts.set(topic, await this.#log.partitionCount(topic))));
    await this.#loadLimits([...topics, ...changelogs]);
  }
  recordLimitOf(topic: string): RecordLimit {
    const described = this.#limits.get(topic) ?? DEFAULT_MAX_MESSAGE_BYTES;
    const learned = this.#recordLimits.get(topic);
    return { bytes: Math.min(described, learned ?? Infinity), isTight: learned !== undefined };
  }
  /** Largest batch of several records that the topic takes, bytes. */
  maxBatchBytesOf(topic: string): number {
    return Math.min(this.recordLimitOf(topic).bytes, this.#batchLimits.get(topic) ?? Infinity);
  }
  /**
   * The topic takes less than was known. Its limit is asked for anew, and the refusal counts beside it, since not every broker may
   * know of a change yet: never again is a batch sent that is as large.
   * @param canShrink what was refused can be made smaller, so it need not be found out byte by byte
   */
  async refused(topic: string, batch: RefusedBatch, canShrink: boolean): Promise<void> {
    await this.#loadLimits([topic]);
    if (batch.records > 1) {
      if (this.maxBatchBytesOf(topic) >= batch.bytes) this.#batchLimits.set(topic, batch.bytes >>> 1);
      return;
    }
    const most = canShrink && this.recordLimitOf(topic).bytes >= batch.bytes ? batch.bytes >>> 1 : batch.bytes - 1;
    this.#recordLimits.set(topic, Math.min(this.#recordLimits.get(topic) ?? Infinity, most));
  }
  async #loadLimits(topics: readonly string[]): Promise<void> {
    for (const { name, config } of await this.#log.admin.describeTopics(topics)) {
      const limit = Number(config["max.message.bytes"]);
      if (limit > 0) this.#limits.set(name, limit);
    }
  }
  /** For what is opened from now on. */
  grown(topic: string, partitions: number): void {
    this.#counts.set(topic, partitions);
  }
  /** Undefined before load(). */
  ifKnown(topic: string): number | undefined {
    return this.#counts.get(topic);
  }
  of(topic: string): number {
    const count = this.#counts.get(topic);
    if (count === undefined) throw new RuntimeError("topology-mismatch", `topic ${topic} is not of this topology`);
    return count;
  }
}
