/** A copy of a task that runs elsewhere: its stores, as far as their changelogs have been read here. */
import type { FetchedBatch, PartitionOffset, TopicPartition } from "../eventlog/port.ts";
import type { StoreSpec } from "../state/store.ts";
import type { TaskState } from "../state/task-state.ts";
import { replay, type ChangelogSpan } from "./changelogs.ts";
import { Mutex } from "./mutex.ts";
import type { TaskId } from "./task-id.ts";

interface Changelog extends TopicPartition {
  readonly store: string;
  /** Next offset to apply. */
  position: number;
  /** As far as it was last seen to reach. */
  end: number | undefined;
}

export class StandbyTask {
  readonly taskId: string;
  readonly partition: number;
  readonly state: TaskState;
  readonly stores: readonly StoreSpec<unknown>[];
  readonly changelogs: readonly Changelog[];
  readonly #mutex = new Mutex();
  #released = false;
  /** performance.now() of the last look at the changelogs' ends that found everything applied. */
  #caughtUpAt = -Infinity;

  constructor(id: TaskId, stores: readonly StoreSpec<unknown>[], state: TaskState, spans: readonly ChangelogSpan[]) {
    this.taskId = id.id;
    this.partition = id.partition;
    this.stores = stores;
    this.state = state;
    // how far they reach counts once it was seen under the reader's isolation
    this.changelogs = spans.map(({ store, topic, partition, position }) => ({ store, topic, partition, position, end: undefined }));
  }

  /** False once it has been promoted or given up. */
  get isTailing(): boolean {
    return !this.#released;
  }

  /** Changelog offsets that are missing here; undefined before the first look at the ends. */
  get lag(): number | undefined {
    let lag = 0;
    for (const { position, end } of this.changelogs) {
      if (end === undefined) return undefined;
      lag += Math.max(0, end - position);
    }
    return lag;
  }

  /** Everything committed longer ago than this is here. Infinity when it has never caught up. */
  get stalenessMs(): number {
    return performance.now() - this.#caughtUpAt;
  }

  /** Changelog offsets that the rows here stand for, checkpointed or not, summed over the stores. */
  get position(): number {
    return this.changelogs.reduce((sum, { position }) => sum + position, 0);
  }

  /** @param askedAt performance.now() before the log was asked. */
  observe(ends: readonly PartitionOffset[], askedAt: number): void {
    for (const changelog of this.changelogs) {
      const end = ends.find(({ topic, partition }) => topic === changelog.topic && partition === changelog.partition);
      if (end !== undefined) changelog.end = end.offset;
    }
    if (this.lag === 0) this.#caughtUpAt = askedAt;
  }

  /** Returns the number of records applied. */
  apply(batch: FetchedBatch): Promise<number> {
    return this.#mutex.run(async () => {
      const changelog = this.changelogs.find(({ topic, partition }) => topic === batch.topic && partition === batch.partition);
      if (changelog === undefined || this.#released || batch.nextOffset <= changelog.position) return 0;
      if ((await replay(this.state, changelog.store, batch.records, () => !this.#released)) === undefined) return 0;
      changelog.position = batch.nextOffset;
      return batch.records.count;
    });
  }

  /** Writes what was applied to the engine, with its positions. */
  flush(): Promise<void> {
    return this.#mutex.run(async () => {
      if (!this.#released) await this.#flush();
    });
  }

  /** Applies no more and hands the state over, flushed; it is the caller's from here on, also when this rejects. */
  release(): Promise<void> {
    this.#released = true;
    return this.#mutex.run(() => this.#flush());
  }

  async #flush(): Promise<void> {
    await this.state.flushRestored(new Map(this.changelogs.map(({ store, position }) => [store, position])));
  }
}
