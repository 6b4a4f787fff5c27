/** Runs retention and compaction over all partitions, one after the other, in the background. */
import type { Logger } from "pino";
import { compactPartition } from "./compaction.ts";
import type { Database } from "./database.ts";
import type { PartitionRows } from "./partition-rows.ts";
import { applyRetention } from "./retention.ts";
import type { Topics } from "./topics.ts";

export interface MaintenanceResult {
  readonly batchesExpired: number;
  readonly recordsCompacted: number;
}

export class Maintenance {
  readonly #log: { database: Database; partitionRows: PartitionRows; topics: Topics };
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  #running: Promise<MaintenanceResult> | undefined;
  #stopped = false;

  constructor(
    log: { database: Database; partitionRows: PartitionRows; topics: Topics },
    options: { intervalMs: number; now: () => number; logger?: Logger },
  ) {
    this.#log = log;
    this.#now = options.now;
    this.#timer = setInterval(() => {
      if (this.#running !== undefined) return;
      this.run().catch((error: unknown) => options.logger?.error({ error }, "maintenance of the embedded log failed; it is tried again"));
    }, options.intervalMs);
    this.#timer.unref();
  }

  /** A whole round; waits for one under way first. */
  async run(): Promise<MaintenanceResult> {
    while (this.#running !== undefined) await Promise.allSettled([this.#running]);
    this.#running = this.#round().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await Promise.allSettled([this.#running]);
  }

  async #round(): Promise<MaintenanceResult> {
    const { database, partitionRows, topics } = this.#log;
    let batchesExpired = 0;
    let recordsCompacted = 0;
    for (const partition of [...topics.allPartitions()]) {
      if (this.#stopped || partition.deleted) continue;
      batchesExpired += await applyRetention(database, partitionRows, partition, this.#now());
      recordsCompacted += await compactPartition(database, partitionRows, partition, this.#now());
    }
    return { batchesExpired, recordsCompacted };
  }
}
