/** Answers about the state this worker holds, and where the rest is. Committed values only. */
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { storeNamed, type StoreSpec } from "../state/store.ts";
import type { Topology } from "../topology/topology.ts";
import { mergedScan } from "./merged-scan.ts";
import {
  StateUnavailableError,
  type CopiesOf,
  type EdgeCount,
  type LocateOptions,
  type Location,
  type Queries,
  type RowsHere,
  type StandbyLocation,
  type ScanOptions,
  type StoreInfo,
  type StoreRow,
  type TaskInfo,
  type TopologyView,
  type WorkerInfo,
} from "./queries.ts";
import type { Restorer } from "./restorer.ts";
import { StandbyTask } from "./standby-task.ts";
import type { StandbyTasks } from "./standby-tasks.ts";
import { RETRY_AFTER_MS, standbyReader, taskReader } from "./store-rows.ts";
import type { Task } from "./task.ts";
import { taskIdOf } from "./task-id.ts";
import type { TaskManager } from "./task-manager.ts";

export interface WorkerQueriesOptions {
  readonly workerId: string;
  readonly topology: Topology;
  readonly tasks: TaskManager;
  readonly standbys: StandbyTasks;
  readonly restorer: Restorer;
  readonly state: () => WorkerInfo["state"];
  /** Undefined while the worker starts: its HTTP API is up before it has asked the log. */
  readonly partitionsOf: (topic: string) => number | undefined;
}

export class WorkerQueries implements Queries {
  readonly #options: WorkerQueriesOptions;
  constructor(options: WorkerQueriesOptions) {
    this.#options = options;
  }

  worker(): WorkerInfo {
    const { workerId, tasks, standbys, state } = this.#options;
    return {
      workerId,
      state: state(),
      tasks: tasks.tasks.map((task) => this.#describe(task)),
      standbys: standbys.info(),
      members: tasks.members.map(({ workerId, url, tasks, standbys }) => ({ workerId, url, tasks, standbys })),
    };
  }

  topology(): TopologyView {
    const { topology, tasks } = this.#options;
    const counts = new Map<string, number>();
    for (const task of tasks.tasks)
      for (const edge of task.edgeCounts())
        counts.set(`${edge.from} ${edge.to}`, (counts.get(`${edge.from} ${edge.to}`) ?? 0) + edge.records);
    const nodes: TopologyView["nodes"][number][] = [];
    const edges: EdgeCount[] = topology.edges.map(({ from, to }) => ({ from, to, records: counts.get(`${from} ${to}`) ?? 0 }));
    for (const { from, to } of topology.links)
      edges.push({ from, to, records: edges.filter((edge) => edge.to === from).reduce((sum, edge) => sum + edge.records, 0) });
    const stores = new Set<string>();
    for (const node of topology.nodes.values()) {
      const { name, kind } = node;
      nodes.push(kind === "processor" ? { name, kind } : { name, kind, topic: node.topic });
      if (kind !== "processor") continue;
      for (const store of node.spec.stores ?? []) {
        edges.push({ from: name, to: storeNodeName(store.name), records: 0 });
        stores.add(storeNodeName(store.name));
      }
    }
    for (const name of stores) nodes.push({ name, kind: "store" });
    return { text: topology.describe(), mermaid: topology.mermaid(), nodes, edges };
  }

  stores(): readonly StoreInfo[] {
    const specs = this.#options.topology.subtopologies.flatMap((subtopology) => subtopology.stores);
    const names = ({ name, views }: StoreSpec<unknown>): string[] => [...new Set([name, ...Object.keys(views)])];
    return specs
      .flatMap((spec) => names(spec).map((name) => ({ name, kind: spec.kind, changelog: spec.changelog })))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  locate(key: string, options: LocateOptions = {}): Location {
    const { tasks, workerId } = this.#options;
    const taskId = this.#taskOf(key, options);
    if (taskId === undefined) return { kind: "unavailable", retryAfterMs: RETRY_AFTER_MS };
    // Also one that was assigned away: until it is closed nobody else has it.
    const task = tasks.tasks.find((candidate) => candidate.taskId === taskId);
    // One that is held back too: its rows are committed.
    if (task?.isUp === true) return { kind: "local", taskId };
    const owner = tasks.members.find((member) => member.tasks.includes(taskId));
    if (owner?.url === undefined || owner.workerId === workerId) return { kind: "unavailable", retryAfterMs: RETRY_AFTER_MS };
    return { kind: "remote", url: owner.url, workerId: owner.workerId };
  }

  standbysOf(key: string, { maxStalenessMs, ...options }: LocateOptions & { maxStalenessMs: number }): readonly StandbyLocation[] {
    const { tasks, standbys, workerId } = this.#options;
    const taskId = this.#taskOf(key, options);
    if (taskId === undefined) return [];
    const locations: StandbyLocation[] = [];
    const local = standbys.get(taskId);
    if (local !== undefined && isFresh(local, maxStalenessMs))
      locations.push({ kind: "local", stalenessMs: Math.ceil(local.stalenessMs), reader: standbyReader(local) });
    for (const member of tasks.members)
      if (member.workerId !== workerId && member.url !== undefined && member.standbys.includes(taskId))
        locations.push({ kind: "remote", url: member.url, workerId: member.workerId });
    return locations;
  }

  /** Keys are text; a sub-topology's stores are keyed like its sources, which have one number of partitions: the first decides. */
  #taskOf(key: string, { store }: LocateOptions): string | undefined {
    const { topology, partitionsOf } = this.#options;
    const subtopology = topology.subtopologies.find(({ stores }) => storeNamed(stores, store)) ?? topology.subtopologies[0];
    const partitions = partitionsOf(subtopology.sources[0].topic);
    if (partitions === undefined) return undefined;
    const bytes = Buffer.from(key);
    const partition = partitionForKey(bytes, 0, bytes.length, partitions);
    return taskIdOf(subtopology.id, partition).id;
  }

  async get(store: string, key: string, partitionKey: string = key): Promise<unknown> {
    return taskReader(this.#ownerOf(store, partitionKey)).get(store, key);
  }

  async windows(store: string, key: string, options: { from: number; to: number; limit: number }): Promise<readonly StoreRow[]> {
    return taskReader(this.#ownerOf(store, key)).windows(store, key, options);
  }

  async scan(store: string, options: ScanOptions): Promise<readonly StoreRow[]> {
    const { partitionKey } = options;
    if (partitionKey !== undefined) return taskReader(this.#ownerOf(store, partitionKey)).scan(store, options);
    const tasks = this.#tasksWith(store);
    const waiting = tasks.find((task) => !task.isUp);
    if (waiting !== undefined) throw new StateUnavailableError(`task ${waiting.taskId} is ${waiting.status}`, RETRY_AFTER_MS);
    return mergedScan(tasks.map(taskReader), store, options);
  }

  tasksOf(store: string): readonly string[] | undefined {
    const { topology, partitionsOf } = this.#options;
    const subtopology = topology.subtopologies.find(({ stores }) => storeNamed(stores, store));
    if (subtopology === undefined) return [];
    const partitions = partitionsOf(subtopology.sources[0].topic);
    return partitions === undefined ? undefined : Array.from({ length: partitions }, (_, n) => taskIdOf(subtopology.id, n).id);
  }

  rowsHere(store: string, copies?: CopiesOf): RowsHere {
    const from = copies === undefined ? this.#tasksWith(store).filter(({ isUp }) => isUp) : this.#copies(store, copies);
    const readers = from.map((source) => (source instanceof StandbyTask ? standbyReader(source) : taskReader(source)));
    return {
      sources: from.map((source) => ({
        taskId: source.taskId,
        stalenessMs: source instanceof StandbyTask ? Math.ceil(source.stalenessMs) : 0,
      })),
      scan: (options) => mergedScan(readers, store, options),
    };
  }

  #tasksWith(store: string): Task[] {
    return this.#options.tasks.tasks.filter(({ stores }) => storeNamed(stores, store));
  }

  #copies(store: string, { taskIds, maxStalenessMs }: CopiesOf): StandbyTask[] {
    return this.#options.standbys.tasks.filter(
      (copy) => taskIds.includes(copy.taskId) && isFresh(copy, maxStalenessMs) && storeNamed(copy.stores, store) !== undefined,
    );
  }

  #ownerOf(store: string, key: string): Task {
    const location = this.locate(key, { store });
    const task =
      location.kind === "local" ? this.#options.tasks.tasks.find((candidate) => candidate.taskId === location.taskId) : undefined;
    if (task === undefined) throw new StateUnavailableError(`the task of "${key}" does not run here now`, RETRY_AFTER_MS);
    return task;
  }

  #describe(task: Task): TaskInfo {
    const stats = task.state.stats();
    return {
      taskId: task.taskId,
      partition: task.partition,
      status: task.status,
      inputs: task.queues.map((queue) => ({
        topic: queue.topic,
        partition: queue.partition,
        position: queue.position,
        endOffset: queue.endOffset,
        lag: Math.max(0, queue.endOffset - queue.position),
      })),
      stores: task.stores.map((spec) => ({
        name: spec.name,
        cachedRows: stats.find((entry) => entry.name === spec.name)?.cachedRows ?? 0,
        dirtyRows: stats.find((entry) => entry.name === spec.name)?.dirtyRows ?? 0,
        changelogPosition: task.changelogPositions.get(spec.name) ?? task.state.checkpointPosition(spec.name) ?? 0,
        checkpointPosition: task.state.checkpointPosition(spec.name) ?? 0,
      })),
      restore: this.#options.restorer.progress(task),
      streamTime: task.streamTime,
      receiveTime: task.receiveTime,
    };
  }
}

/** A store may be named like a processor. */
function storeNodeName(store: string): string {
  return `${store} (store)`;
}

/** Still a copy, and everything committed longer ago than this is in it. */
function isFresh({ isTailing, stalenessMs }: StandbyTask, maxStalenessMs: number): boolean {
  return isTailing && stalenessMs <= maxStalenessMs;
}
