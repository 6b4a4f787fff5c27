/** What the HTTP API asks of a worker. Implemented in this folder; `api/` depends on these types only. */

export type TaskStatus = "created" | "restoring" | "running" | "suspended" | "closed";

/** Of one store whose task is restoring. Rates are those of the last seconds, 0 when nothing comes. */
export interface RestoreProgress {
  readonly store: string;
  /** Changelog records applied. */
  readonly restored: number;
  /** Bytes of their keys and values. */
  readonly restoredBytes: number;
  /** Changelog offsets still to read. At most so many records: compaction leaves holes, and transaction markers take offsets. */
  readonly remaining: number;
  readonly recordsPerSecond: number;
  readonly offsetsPerSecond: number;
  /** At the present rate, by offsets. Absent while nothing comes. */
  readonly timeLeftMs?: number;
}

export interface TaskInfo {
  readonly taskId: string;
  readonly partition: number;
  readonly status: TaskStatus;
  /** Position and lag of each source partition. */
  readonly inputs: readonly { topic: string; partition: number; position: number; endOffset: number; lag: number }[];
  readonly stores: readonly {
    name: string;
    cachedRows: number;
    dirtyRows: number;
    changelogPosition: number;
    checkpointPosition: number;
  }[];
  readonly restore: readonly RestoreProgress[];
  readonly streamTime: number;
  readonly receiveTime: number;
}

export interface StandbyInfo {
  readonly taskId: string;
  readonly partition: number;
  /** Meant to run here as soon as it has caught up. */
  readonly warmup: boolean;
  /** Changelog offsets missing here; null until known. */
  readonly lag: number | null;
  /** Everything committed longer ago than this is here; null: it has never caught up. */
  readonly stalenessMs: number | null;
}

export interface WorkerInfo {
  readonly workerId: string;
  readonly state: "CREATED" | "REBALANCING" | "RUNNING" | "PENDING_SHUTDOWN" | "NOT_RUNNING" | "ERROR";
  readonly tasks: readonly TaskInfo[];
  /** Copies of other workers' tasks. */
  readonly standbys: readonly StandbyInfo[];
  /** All members of the group with their advertised URL and tasks, as of the last rebalance. */
  readonly members: readonly { workerId: string; url: string | undefined; tasks: readonly string[]; standbys: readonly string[] }[];
}

/** Where a key's state lives now. */
export type Location =
  | { readonly kind: "local"; readonly taskId: string }
  | { readonly kind: "remote"; readonly url: string; readonly workerId: string }
  /** Moving or restoring: ask again later; never answered from elsewhere. */
  | { readonly kind: "unavailable"; readonly retryAfterMs: number };

/** A copy of the state of a key's task. Local: what it has is at most so old. Remote: that worker knows. */
export type StandbyLocation =
  | { readonly kind: "local"; readonly stalenessMs: number; readonly reader: StoreReader }
  | { readonly kind: "remote"; readonly url: string; readonly workerId: string };

/** Committed rows of one task, by key. */
export interface StoreReader {
  /**
   * Undefined when there is no such row. Throws StateUnavailableError when the task moved meanwhile. `partitionKey`: the source key
   * whose task has the row, where rows are not keyed like their source.
   */
  get(store: string, key: string, partitionKey?: string): Promise<unknown>;
  /** A key's windows that start in [from, to), oldest first. Epoch ms. Otherwise as get(). */
  windows(store: string, key: string, options: { from: number; to: number; limit: number }): Promise<readonly StoreRow[]>;
  /** Rows within all the bounds that are given, in key-byte order, at most `limit`. Otherwise as get(). */
  scan(store: string, options: ScanOptions): Promise<readonly StoreRow[]>;
}

/** Rows of a store that one worker has. */
export interface RowsHere {
  /** Whose rows they are. `stalenessMs`: 0 of a task that runs here; of a copy, what it has is at most so old. */
  readonly sources: readonly { readonly taskId: string; readonly stalenessMs: number }[];
  /** Of all sources, as StoreReader.scan(). Throws StateUnavailableError when one of them went meanwhile. */
  scan(options: ScanOptions): Promise<readonly StoreRow[]>;
}

/** Copies that are asked for, and how far they may be behind. */
export interface CopiesOf {
  readonly taskIds: readonly string[];
  readonly maxStalenessMs: number;
}

/** Records per second over an edge of the graph since the start (cumulative counts; the reader takes differences). */
export interface EdgeCount {
  readonly from: string;
  readonly to: string;
  readonly records: number;
}

export interface TopologyView {
  readonly text: string;
  readonly mermaid: string;
  readonly nodes: readonly { name: string; kind: "source" | "processor" | "sink" | "store"; topic?: string }[];
  readonly edges: readonly EdgeCount[];
}

/** A record of an output topic, seen under read_committed. */
export interface FeedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

export interface Feed {
  /** `onRecords` gets copies; `dropped` counts what a slow listener did not get (the queue is bounded by `maxQueued` records). */
  subscribe(topics: readonly string[], onRecords: (records: readonly FeedRecord[], dropped: number) => void): { close(): void };
}

export interface StoreInfo {
  readonly name: string;
  readonly kind: "key-value" | "window";
  /** Restored elsewhere when its worker dies. */
  readonly changelog: boolean;
}

export interface StoreRow {
  readonly key: string;
  /** Epoch ms; in window stores. */
  readonly windowStart?: number;
  readonly value: unknown;
}

export interface ScanOptions {
  readonly prefix?: string;
  /** Keys from here on (inclusive). */
  readonly from?: string;
  /** Keys before this one (exclusive). */
  readonly to?: string;
  /** Go on after this row: rowCursor() of the last one. */
  readonly after?: string;
  readonly limit: number;
  /** Only of the task that this source key belongs to. */
  readonly partitionKey?: string;
}

export interface LocateOptions {
  /** The sub-topology that has this store decides; default: the first. */
  readonly store?: string;
}

/** Everything here is about committed rows; a task's uncommitted ones are never seen. */
export interface Queries extends StoreReader {
  worker(): WorkerInfo;
  topology(): TopologyView;
  /** Of the topology, by name. */
  stores(): readonly StoreInfo[];
  /** By the partition of the source topic that the key lands on. */
  locate(key: string, options?: LocateOptions): Location;
  /** Copies that may answer for the key while its owner cannot: a local one that is fresh enough first, then those of others. */
  standbysOf(key: string, options: LocateOptions & { readonly maxStalenessMs: number }): readonly StandbyLocation[];
  /** Of all local tasks, none of which may be on its way up, unless `partitionKey` names the one that is meant. */
  scan(store: string, options: ScanOptions): Promise<readonly StoreRow[]>;
  /** All tasks that have this store, wherever they run. Undefined while the worker starts. */
  tasksOf(store: string): readonly string[] | undefined;
  /** Of the tasks that are up here; with `copies`, of those of these copies that are here and fresh enough. */
  rowsHere(store: string, copies?: CopiesOf): RowsHere;
}

/** Digits of a window start: up to 2^53. */
const START_DIGITS = 16;

/** A row's place in the order of its store, as text that sorts like the rows do (by UTF-8 bytes). The key itself without a window. */
export function rowCursor({ key, windowStart }: Pick<StoreRow, "key" | "windowStart">): string {
  return windowStart === undefined ? key : `${key}\0${String(windowStart).padStart(START_DIGITS, "0")}`;
}

/** Undefined for text that rowCursor() did not make of a window's row. */
export function parseWindowCursor(cursor: string): { key: string; windowStart: number } | undefined {
  const match = /^([^]*)\0(\d{16})$/.exec(cursor);
  return match === null ? undefined : { key: match[1], windowStart: Number(match[2]) };
}

/** The task that held the key is gone or not ready: answer 503 with Retry-After. */
export class StateUnavailableError extends Error {
  override readonly name = "StateUnavailableError";
  readonly code = "state-unavailable";
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}
