/**
 * A worker and, when it fails, another in its place, for programs that have no process manager around them. What it offers is
 * what a Worker offers, and stays the same over replacements: queries, feed, registry (whose counters begin anew).
 */
import { setTimeout as delay } from "node:timers/promises";
import { Registry } from "prom-client";
import { messageOf, RuntimeError } from "./errors.ts";
import { TopicFeed } from "./feed.ts";
import type { Feed, Queries, WorkerInfo } from "./queries.ts";
import { Worker } from "./worker.ts";
import type { WorkerOptions } from "./worker-options.ts";

/**
 * - `replace`: the worker is stopped and another takes its place.
 * - `stop`: there is no other, and `finished` rejects.
 * - `shut-down-application`: likewise, and all workers of the application are asked to stop (Kafka Streams' SHUTDOWN_APPLICATION).
 */
export type UncaughtAction = "replace" | "stop" | "shut-down-application";

export interface SupervisedWorkerOptions extends WorkerOptions {
  /** Asked with what the worker failed of. Not asked of `application-shut-down`: that always stops it. */
  readonly onUncaught: UncaughtAction | ((error: Error) => UncaughtAction);
  /** Before a replacement starts: what it failed of may need a moment. Default 1000. */
  readonly replaceDelayMs?: number;
}

const REPLACE_DELAY_MS = 1_000;
/** More failures than this within the period are a fault that no replacement mends. */
const MAX_REPLACEMENTS = 5;
const REPLACEMENTS_PERIOD_MS = 600_000;

export class SupervisedWorker {
  readonly queries: Queries;
  readonly feed: Feed;
  readonly registry: Registry;
  readonly #options: SupervisedWorkerOptions;
  readonly #feed: TopicFeed;
  /** Not the workers': they are there before the first and stay. */
  readonly #otherMetrics: ReadonlySet<string>;
  readonly #finished = Promise.withResolvers<void>();
  readonly #stopping = new AbortController();
  /** performance.now() of the replacements within the period. */
  #replacedAt: number[] = [];
  #replacing: Promise<void> | undefined;
  #paused = false;
  #worker: Worker;

  constructor(options: SupervisedWorkerOptions) {
    this.#options = options;
    this.registry = options.registry ?? new Registry();
    this.#otherMetrics = new Set(this.#metricNames());
    this.#feed = new TopicFeed(options.log, options.logger);
    this.feed = this.#feed;
    this.#finished.promise.catch(() => undefined); // whoever cares awaits `finished`
    this.#worker = this.#create();
    this.queries = {
      worker: () => this.#worker.queries.worker(),
      topology: () => this.#worker.queries.topology(),
      stores: () => this.#worker.queries.stores(),
      locate: (key, options) => this.#worker.queries.locate(key, options),
      standbysOf: (key, options) => this.#worker.queries.standbysOf(key, options),
      get: (store, key, partitionKey) => this.#worker.queries.get(store, key, partitionKey),
      windows: (store, key, options) => this.#worker.queries.windows(store, key, options),
      scan: (store, scanned) => this.#worker.queries.scan(store, scanned),
      tasksOf: (store) => this.#worker.queries.tasksOf(store),
      rowsHere: (store, copies) => this.#worker.queries.rowsHere(store, copies),
    };
  }

  get state(): WorkerInfo["state"] {
    return this.#worker.state;
  }

  /** Resolves after stop(); rejects with the last failure when there is no (further) replacement. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** A failure to start the first worker rejects here. */
  async start(): Promise<void> {
    await this.#worker.start();
    this.#watch(this.#worker);
  }

  pause(): void {
    this.#paused = true;
    this.#worker.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#worker.resume();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#replacing;
    await Promise.all([this.#worker.stop(), this.#feed.close()]);
    this.#finished.resolve();
  }

  #create(): Worker {
    const worker = new Worker({ ...this.#options, registry: this.registry });
    if (this.#paused) worker.pause();
    return worker;
  }

  #watch(worker: Worker): void {
    worker.finished.catch((error: unknown) => this.#onFailure(error instanceof Error ? error : new Error(String(error))));
  }

  #onFailure(error: Error): void {
    if (this.#stopping.signal.aborted) return;
    const { onUncaught, logger } = this.#options;
    if (error instanceof RuntimeError && error.code === "application-shut-down") return this.#finished.reject(error);
    const action = typeof onUncaught === "function" ? onUncaught(error) : onUncaught;
    if (action === "shut-down-application") return void this.#shutDownApplication(error);
    const now = performance.now();
    this.#replacedAt = this.#replacedAt.filter((at) => now - at < REPLACEMENTS_PERIOD_MS);
    if (action === "stop" || this.#replacedAt.length >= MAX_REPLACEMENTS) return this.#finished.reject(error);
    this.#replacedAt.push(now);
    logger.warn({ replacements: this.#replacedAt.length }, "replacing the worker that failed");
    this.#replacing = this.#replace();
  }

  /** Never rejects. */
  async #replace(): Promise<void> {
    const { signal } = this.#stopping;
    await this.#worker.stop();
    await delay(this.#options.replaceDelayMs ?? REPLACE_DELAY_MS, undefined, { signal }).catch(() => undefined); // aborted: no replacement
    if (signal.aborted) return;
    for (const name of this.#metricNames()) if (!this.#otherMetrics.has(name)) this.registry.removeSingleMetric(name);
    const worker = (this.#worker = this.#create());
    try {
      await worker.start();
      this.#watch(worker);
    } catch (error) {
      this.#onFailure(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Never rejects; stop() cuts it short. */
  async #shutDownApplication(error: Error): Promise<void> {
    try {
      const cause = error.cause === undefined ? "" : `: ${messageOf(error.cause)}`;
      await this.#worker.shutDownApplication(`${error.message}${cause}`);
    } catch (cause) {
      this.#options.logger.error({ err: cause }, "could not tell the other workers to stop: they may go on");
    }
    this.#finished.reject(error);
  }

  #metricNames(): string[] {
    return this.registry.getMetricsAsArray().map((metric) => metric.name);
  }
}
