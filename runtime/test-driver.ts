/**
 * Runs a topology's real task without a log: pipe records in, read outputs, look into stores, move the wall clock.
 * Every topic has one partition; records go on through repartition topics at once; commits happen when commit() is called.
 * It cannot show rebalances, transactions, restores, or how the tasks of several partitions mix in a repartition topic.
 *
 * @example
 * const driver = await TopologyTestDriver.create(topology);
 * driver.pipe("readings", { key: "a", value: '{"celsius":31}', timestamp: 0 });
 * assert.equal(driver.output("hot").length, 1);
 * await driver.close();
 */
import { join } from "node:path";
import { encodeBatch } from "../eventlog/records/encode-batch.ts";
import { BatchBuilder } from "../eventlog/records/batch-builder.ts";
import { parseBatches } from "../eventlog/records/parse-batches.ts";
import type { RecordSet } from "../eventlog/records/record-set.ts";
import type { RecordsView } from "../eventlog/records/view.ts";
import { changelogTopic } from "../state/changelog.ts";
import type { EngineName } from "../state/engines/engine.ts";
import type { StoreSpec } from "../state/store.ts";
import { TaskState } from "../state/task-state.ts";
import type { Subtopology } from "../topology/graph.ts";
import type { RecordHeader } from "../topology/processor.ts";
import type { Topology } from "../topology/topology.ts";
import type { ErrorHandlers } from "./error-handlers.ts";
import { DeadLetters } from "./dead-letters.ts";
import { OutputCollector } from "./output-collector.ts";
import { Task } from "./task.ts";

const APPLICATION_ID = "test";

export interface TestInput {
  readonly key: string | Uint8Array | null;
  readonly value: string | Uint8Array | null;
  readonly timestamp: number;
  readonly headers?: readonly RecordHeader[];
}

export interface TestOutput {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestamp: number;
  readonly headers: readonly RecordHeader[];
}

export interface TestDriverOptions {
  readonly deadLetterTopic?: string;
  readonly maxDeadLetterBytes?: number;
  readonly handlers?: ErrorHandlers;
  /** Largest record batch that topics take, bytes; a larger record is a production error. Default: any size. */
  readonly maxMessageBytes?: number;
  /** Default: memory. With "level" and a directory the state survives close() and create(). */
  readonly state?: { readonly engine: EngineName; readonly directory: string };
  readonly cacheBytes?: number;
  /** The wall clock's start, epoch ms. Default 0. */
  readonly now?: number;
  /**
   * "awaited", the default: create() returns when what processors began in the background is done. "beside": records may be
   * piped before, as in a worker; settled() waits for it.
   */
  readonly background?: "awaited" | "beside";
}

export class TopologyTestDriver {
  readonly #tasks: readonly Task[];
  readonly #collector: OutputCollector;
  readonly #clock: { now: number };
  readonly #offsets = new Map<string, number>();
  readonly #changelogOffsets = new Map<string, number>();
  readonly #counts = new Map<string, number>();
  readonly #outputs = new Map<string, TestOutput[]>();
  readonly #repartitionReaders: ReadonlyMap<string, Task>;

  private constructor(tasks: readonly Task[], collector: OutputCollector, clock: { now: number }) {
    this.#tasks = tasks;
    this.#repartitionReaders = new Map(
      tasks.flatMap((task) =>
        task.queues.filter(({ source }) => source.repartition !== undefined).map((queue): [string, Task] => [queue.topic, task]),
      ),
    );
    this.#collector = collector;
    this.#clock = clock;
  }

  static async create(topology: Topology, options: TestDriverOptions = {}): Promise<TopologyTestDriver> {
    const collector = new OutputCollector();
    const clock = { now: options.now ?? 0 };
    const tasks: Task[] = [];
    for (const subtopology of topology.forApplication(APPLICATION_ID).subtopologies)
      tasks.push(await openTask(subtopology, options, collector, clock));
    const driver = new TopologyTestDriver(tasks, collector, clock);
    if (options.background !== "beside") await driver.settled();
    return driver;
  }

  /** Processes one record at once, with everything downstream of it. */
  pipe(topic: string, input: TestInput): Promise<void> | undefined {
    const task = this.#tasks.find((candidate) => candidate.reads(topic));
    if (task === undefined) throw new Error(`no source reads "${topic}"`);
    const prepared = this.#add(task, topic, input);
    if (prepared !== undefined) return prepared.then(() => this.#process(task));
    this.#process(task);
    return undefined;
  }

  /** What a worker does at each commit: flush, freeze, mark committed. Changelog records are outputs too. */
  commit(): void {
    // what one flush sends through a repartition topic is committed in the same call
    do this.#commitOnce();
    while (this.#tasks.some((task) => task.needsCommit));
  }

  advanceWallClock(ms: number): void {
    this.#clock.now += ms;
    for (const task of this.#tasks) task.punctuateWallClock(this.#clock.now);
    this.#drain();
  }

  /** Everything written to the topic since the last call; internal topics are named for the application "test". Records that only flush() emits come with commit(). */
  output(topic: string): TestOutput[] {
    this.#drain();
    const records = this.#outputs.get(topic) ?? [];
    this.#outputs.delete(topic);
    return records;
  }

  /** What processors have counted (`context.count()`) as of the last commit(). */
  counted(name: string, reason: string): number {
    return this.#counts.get(`${name}|${reason}`) ?? 0;
  }

  store<S>(spec: StoreSpec<S>): S {
    const task = this.#tasks.find((candidate) => candidate.stores.some((store) => store.name === spec.name));
    if (task === undefined) throw new Error(`the topology has no store "${spec.name}"`);
    return task.state.store(spec);
  }

  get streamTime(): number {
    return Math.max(...this.#tasks.map((task) => task.streamTime));
  }

  /** Resolves when what processors began in the background is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#tasks.map((task) => task.settled()));
    for (const task of this.#tasks) this.#process(task);
  }

  /** Commits, checkpoints and closes. */
  async close(): Promise<void> {
    this.commit();
    for (const task of this.#tasks) {
      await task.state.checkpoint();
      await task.close();
    }
  }

  #commitOnce(): void {
    const commits = this.#tasks.map((task) => task.freeze());
    this.#drain();
    for (const { task, frozen, counts } of commits) {
      for (const [key, by] of counts) this.#counts.set(key, (this.#counts.get(key) ?? 0) + by);
      for (const store of task.stores) this.#changelogOffsets.set(store.name, (this.#changelogOffsets.get(store.name) ?? 0) + 1);
      task.state.committed(frozen, new Map(task.stores.map((store) => [store.name, this.#changelogOffsets.get(store.name) ?? 0])));
    }
  }

  #process(task: Task): void {
    task.process(Infinity);
    this.#drain();
  }

  #add(task: Task, topic: string, input: TestInput): Promise<void> | undefined {
    const offset = this.#offsets.get(topic) ?? 0;
    const end = offset + 1;
    this.#offsets.set(topic, end);
    const records = toView(topic, input, offset);
    return task.add({ topic, partition: 0, records, nextOffset: end, highWatermark: end, lastStableOffset: end });
  }

  /** Takes what was written since the last call; records of repartition topics are processed in turn. */
  #drain(): void {
    const fed = new Set<Task>();
    const taken = this.#collector.take();
    for (const { topic, record } of readAll(taken)) {
      const list = this.#outputs.get(topic);
      if (list === undefined) this.#outputs.set(topic, [record]);
      else list.push(record);
      const reader = this.#repartitionReaders.get(topic);
      if (reader === undefined) continue;
      void this.#add(reader, topic, record); // repartition sources prepare nothing
      fed.add(reader);
    }
    this.#collector.release(taken);
    for (const task of fed) this.#process(task);
  }
}

async function openTask(
  subtopology: Subtopology,
  options: TestDriverOptions,
  collector: OutputCollector,
  clock: { now: number },
): Promise<Task> {
  const state = await TaskState.open({
    directory: options.state === undefined ? "" : join(options.state.directory, `${subtopology.id}_0`),
    engine: options.state?.engine ?? "memory",
    stores: subtopology.stores,
    cacheBytes: options.cacheBytes ?? 64 * 1024 * 1024,
    identity: `${APPLICATION_ID}/${subtopology.id}_0`,
  });
  const now = (): number => clock.now;
  const task = new Task({
    taskId: `${subtopology.id}_0`,
    partition: 0,
    subtopology,
    state,
    collector,
    partitionsOf: () => 1,
    recordLimitOf: () => ({ bytes: options.maxMessageBytes ?? Infinity, isTight: false }),
    changelogOf: (store) => changelogTopic(APPLICATION_ID, store),
    deadLetters: new DeadLetters(
      {
        topic: options.deadLetterTopic,
        partitions: 1,
        maxRecordBytes: options.maxMessageBytes,
        maxValueBytes: options.maxDeadLetterBytes ?? 1_000_000,
        handlers: options.handlers,
        now,
      },
      collector,
    ),
    now,
  });
  task.restoring();
  await task.ready(subtopology.sources.map((source) => ({ topic: source.topic, offset: 0, streamTime: -1, receiveTime: -1 })));
  task.resume();
  return task;
}

function toView(topic: string, input: TestInput, offset: number): RecordsView {
  const builder = new BatchBuilder(topic, 0, 100 * 1024 * 1024);
  const key = toBuffer(input.key);
  const value = toBuffer(input.value);
  builder.append(input.timestamp, key, 0, key?.length ?? 0, value, 0, value?.length ?? 0, input.headers);
  const bytes = encodeBatch(builder.batches[0], { baseOffset: offset });
  for (const batch of parseBatches(bytes)) return batch.records(offset);
  throw new Error("a batch that was just encoded cannot be parsed");
}

function* readAll(set: RecordSet): Generator<{ topic: string; record: TestOutput }> {
  for (const builder of set.builders) {
    for (const pending of builder.batches) {
      const bytes = Buffer.from(encodeBatch(pending, {}));
      for (const batch of parseBatches(bytes)) {
        const records = batch.records(0);
        for (let i = 0; i < records.count; i++)
          yield {
            topic: builder.topic,
            record: { key: records.key(i), value: records.value(i), timestamp: records.timestamps[i], headers: records.headers(i) },
          };
      }
    }
  }
}

function toBuffer(value: string | Uint8Array | null): Buffer | null {
  return value === null ? null : Buffer.from(value as string);
}
