/** Partition counts and record limits of the topics a topology names, loaded once at start. */
import type { EventLog } from "../eventlog/port.ts";
import type { Topology } from "../topology/topology.ts";
import { RuntimeError } from "./errors.ts";

/** Kafka's default of max.message.bytes. */
const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;

export class PartitionCounts {
  readonly #log: EventLog;
  readonly #counts = new Map<string, number>();
  readonly #maxBytes = new Map<string, number>();
  constructor(log: EventLog) {
    this.#log = log;
  }
  /** @throws LogError `unknown-topic` with the topic's name. */
  async load(topology: Topology, deadLetterTopic: string | undefined, changelogs: readonly string[]): Promise<void> {
    const topics = new Set(topology.subtopologies.flatMap(({ sources, sinks }) => [...sources, ...sinks].map((node) => node.topic)));
    if (deadLetterTopic !== undefined) topics.add(deadLetterTopic);
    await Promise.all([...topics].map(async (topic) => this.#counts.set(topic, await this.#log.partitionCount(topic))));
    for (const { name, config } of await this.#log.admin.describeTopics([...topics, ...changelogs])) {
      const limit = Number(config["max.message.bytes"]);
      if (limit > 0) this.#maxBytes.set(name, limit);
    }
  }
  /** Largest record batch the topic takes, bytes. */
  maxBytesOf(topic: string): number {
    return this.#maxBytes.get(topic) ?? DEFAULT_MAX_MESSAGE_BYTES;
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
