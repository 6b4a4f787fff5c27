/** Deletes from repartition topics what has been processed and committed: nobody else reads them. */
import type { Logger } from "pino";
import type { Admin, PartitionOffset } from "../eventlog/port.ts";
import type { Topology } from "../topology/topology.ts";
import { repartitionTopics } from "./internal-topics.ts";
import type { TaskCommit } from "./task.ts";

/** Between two purges. Kafka Streams' repartition.purge.interval.ms. */
const PURGE_INTERVAL_MS = 30_000;

export class RepartitionPurger {
  readonly #admin: Admin;
  readonly #topics: ReadonlySet<string>;
  readonly #logger: Logger;
  readonly #intervalMs: number;
  /** By topic and partition; as many as this worker ran tasks since the last purge. */
  readonly #committed = new Map<string, PartitionOffset>();
  #lastAt = performance.now();
  #busy = false;

  constructor(admin: Admin, topology: Topology, logger: Logger, intervalMs = PURGE_INTERVAL_MS) {
    this.#admin = admin;
    this.#topics = new Set(repartitionTopics(topology));
    this.#logger = logger;
    this.#intervalMs = intervalMs;
  }

  /** After a commit went through. Sets off a purge when one is due. */
  committed(commits: readonly TaskCommit[]): void {
    if (this.#topics.size === 0) return;
    for (const { positions } of commits)
      for (const position of positions)
        if (this.#topics.has(position.topic)) this.#committed.set(`${position.topic}/${position.partition}`, position);
    if (this.#busy || this.#committed.size === 0 || performance.now() - this.#lastAt < this.#intervalMs) return;
    this.#lastAt = performance.now();
    const offsets = [...this.#committed.values()];
    this.#committed.clear();
    this.#busy = true;
    void this.#admin
      .deleteRecords(offsets)
      .catch((error: unknown) => this.#logger.warn({ err: error }, "repartition topics could not be purged; the next purge takes it along"))
      .finally(() => (this.#busy = false));
  }
}
