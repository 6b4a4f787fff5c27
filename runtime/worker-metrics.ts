/** Prometheus metrics of one worker. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { TaskCommit } from "./task.ts";

export class WorkerMetrics {
  readonly #registry: Registry;
  readonly #processed: Counter;
  readonly #commitSeconds: Histogram;
  readonly #commitBytes: Counter;
  readonly #restored: Counter;
  readonly #rebalances: Counter;
  readonly #recoveries: Counter<"action">;
  readonly #byName = new Map<string, Counter<"reason">>();

  /** @param gauges read at each scrape. */
  constructor(registry: Registry, gauges: { tasks: () => number; lag: () => number; uncheckpointedBytes: () => number }) {
    this.#registry = registry;
    const registers = [registry];
    this.#processed = new Counter({ name: "sluice_records_processed_total", help: "Source records processed and committed", registers });
    this.#commitSeconds = new Histogram({
      name: "sluice_commit_seconds",
      help: "From freeze to the end of the transaction",
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
      registers,
    });
    this.#commitBytes = new Counter({ name: "sluice_committed_bytes_total", help: "Output and changelog bytes committed", registers });
    this.#restored = new Counter({ name: "sluice_restored_records_total", help: "Changelog records applied by restores", registers });
    this.#rebalances = new Counter({ name: "sluice_rebalances_total", help: "Assignments received", registers });
    this.#recoveries = new Counter({
      name: "sluice_recoveries_total",
      help: "Failed commits recovered from, by what the error asked for",
      labelNames: ["action"],
      registers,
    });
    gauge(registry, "sluice_tasks", "Tasks on this worker", gauges.tasks);
    gauge(registry, "sluice_source_lag_records", "Records between position and end of this worker's source partitions", gauges.lag);
    gauge(registry, "sluice_uncheckpointed_bytes", "Committed rows not yet in the state engine", gauges.uncheckpointedBytes);
  }

  committed(seconds: number, commits: readonly TaskCommit[], bytes: number): void {
    this.#commitSeconds.observe(seconds);
    this.#commitBytes.inc(bytes);
    this.#processed.inc(commits.reduce((records, commit) => records + commit.records, 0));
  }

  restored(records: number): void {
    this.#restored.inc(records);
  }

  rebalanced(): void {
    this.#rebalances.inc();
  }

  recovered(action: string): void {
    this.#recoveries.inc({ action });
  }

  /** Keys are `<name>|<reason>`, as tasks count them. */
  addCounts(counts: ReadonlyMap<string, number>): void {
    for (const [key, by] of counts) {
      const bar = key.indexOf("|");
      const name = key.slice(0, bar);
      let counter = this.#byName.get(name);
      if (counter === undefined) {
        counter = new Counter({
          name: `sluice_${name}_total`,
          help: `Counted by processors: ${name}`,
          labelNames: ["reason"],
          registers: [this.#registry],
        });
        this.#byName.set(name, counter);
      }
      counter.inc({ reason: key.slice(bar + 1) }, by);
    }
  }
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}
