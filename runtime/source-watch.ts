/**
 * Looks every so often whether somebody has changed a source topic's partition count, which no reader notices by itself. State is kept
 * by partition and keys go by the count: with another one a key's records come to a task that does not have its state, or to none. So
 * a worker of a stateful task stops then, as it would refuse to start; without state the new partitions are simply read.
 */
import type { Logger } from "pino";
import type { Admin } from "../eventlog/port.ts";
import type { Topology } from "../topology/topology.ts";
import { RuntimeError } from "./errors.ts";
import type { PartitionCounts } from "./partition-counts.ts";

/** One request in it; Kafka's own clients look every five minutes (metadata.max.age.ms), which is long for records that nobody reads. */
const INTERVAL_MS = 30_000;

export interface SourceWatchOptions {
  readonly admin: Pick<Admin, "describeTopics">;
  readonly topology: Topology;
  readonly topics: PartitionCounts;
  /** Default INTERVAL_MS. */
  readonly intervalMs?: number;
  readonly logger: Logger;
  /** There are tasks to be assigned that were not there before. */
  readonly onGrown: () => void;
  /** Called once, with a RuntimeError `topology-mismatch`. */
  readonly onMismatch: (error: RuntimeError) => void;
}

export class SourceWatch {
  readonly #options: SourceWatchOptions;
  /** Source topics that are not made by the application, and whether state depends on them. */
  readonly #sources: ReadonlyMap<string, boolean>;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: SourceWatchOptions) {
    this.#options = options;
    this.#sources = new Map(
      options.topology.subtopologies.flatMap(({ sources, stores }) =>
        sources
          .filter(({ repartition }) => repartition === undefined)
          .map(({ topic }) => [topic, stores.some(({ changelog }) => changelog)]),
      ),
    );
  }

  /** Counts must be loaded. */
  start(): void {
    const look = (): void => {
      this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    };
    this.#timer = setInterval(look, this.#options.intervalMs ?? INTERVAL_MS).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#looking;
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { admin, topics, logger, onGrown, onMismatch } = this.#options;
    try {
      const found = await admin.describeTopics([...this.#sources.keys()]);
      if (this.#timer === undefined) return;
      for (const { name, partitions } of found) {
        const known = topics.of(name);
        if (partitions === known) continue;
        if (this.#sources.get(name) === true) {
          clearInterval(this.#timer);
          return onMismatch(mismatch(name, known, partitions));
        }
        logger.warn({ topic: name, before: known, partitions }, "a source topic has another number of partitions: reading those too");
        topics.grown(name, partitions);
        onGrown();
      }
    } catch (error) {
      logger.debug({ err: error }, "could not look at the source topics' partitions; the next look is soon"); // reading tells of an outage
    }
  }
}

function mismatch(topic: string, before: number, now: number): RuntimeError {
  return new RuntimeError(
    "topology-mismatch",
    `source topic ${topic} has ${now} partitions and had ${before} when this worker started: keys go to other partitions now than those ` +
      "their state is kept for. Stop what writes to it, then either move on to a new topic with the old number of partitions, " +
      "or reset the application (sluice reset), which begins again with empty state",
  );
}
