/** Prometheus metrics of one worker. */
import { Counter, Histogram, type Registry } from "prom-client";
import type { TaskCommit } from "./task.ts";
import { registerWorkerGauges, type WorkerSources } from "./worker-gauges.ts";

export class WorkerMetrics {
  readonly #registry: Registry;
  readonly #processed: Counter;
  readonly #commitSeconds: Histogram;
  readonly #commitBytes: Counter;
  readonly #restored: Counter;
  readonly #replayed: Counter;
  readonly #rebalances: Counter;
  readonly #recoveries: Counter<"action">;
  readonly #latency: Histogram;
  readonly #polls: Counter;
  readonly #pollSeconds: Counter;
  readonly #polledRecords: Counter;
  readonly #processSeconds: Counter;
  readonly #punctuations: Counter;
  readonly #punctuateSeconds: Counter;
  readonly #stopSampling: () => void;
  readonly #byName = new Map<string, Counter<"reason">>();

  /** @param sources read at each scrape. */
  constructor(registry: Registry, sources: WorkerSources) {
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
    this.#replayed = new Counter({ name: "sluice_standby_records_total", help: "Changelog records applied to standbys", registers });
    this.#rebalances = new Counter({ name: "sluice_rebalances_total", help: "Assignments received", registers });
    this.#recoveries = new Counter({
      name: "sluice_recoveries_total",
      help: "Failed commits recovered from, by what the error asked for",
      labelNames: ["action"],
      registers,
    });
    this.#latency = new Histogram({
      name: "sluice_end_to_end_latency_seconds",
      help: "From the timestamp of a task's first source record in a commit to the end of that commit: the longest wait in it",
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    });
    const counter = (name: string, help: string): Counter => new Counter({ name, help, registers });
    this.#polls = counter("sluice_polls_total", "Fetches asked for");
    this.#pollSeconds = counter("sluice_poll_seconds_total", "Time waited for records");
    this.#polledRecords = counter("sluice_polled_records_total", "Source records fetched");
    this.#processSeconds = counter("sluice_process_seconds_total", "Time spent in processing slices, stream-time timers included");
    this.#punctuations = counter("sluice_punctuations_total", "Timer callbacks run");
    this.#punctuateSeconds = counter("sluice_punctuate_seconds_total", "Time spent in timer callbacks");
    this.#stopSampling = registerWorkerGauges(registry, sources);
  }

  committed(seconds: number, commits: readonly TaskCommit[], bytes: number): void {
    this.#commitSeconds.observe(seconds);
    this.#commitBytes.inc(bytes);
    const now = Date.now();
    for (const { records, firstTimestamp, punctuations, punctuateMs } of commits) {
      this.#processed.inc(records);
      this.#punctuations.inc(punctuations);
      this.#punctuateSeconds.inc(punctuateMs / 1000);
      // a clock ahead of ours makes no negative wait
      if (records > 0) this.#latency.observe(Math.max(0, now - firstTimestamp) / 1000);
    }
  }

  polled(ms: number, records: number): void {
    this.#polls.inc();
    this.#pollSeconds.inc(ms / 1000);
    this.#polledRecords.inc(records);
  }

  processedFor(ms: number): void {
    this.#processSeconds.inc(ms / 1000);
  }

  close(): void {
    this.#stopSampling();
  }

  replayed(records: number): void {
    this.#replayed.inc(records);
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
