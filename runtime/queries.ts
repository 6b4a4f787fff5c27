/** What the HTTP API asks of a worker. Implemented in this folder; `api/` depends on these types only. */

export type TaskStatus = "created" | "restoring" | "running" | "suspended" | "closed";

export interface RestoreProgress {
  readonly store: string;
  readonly restored: number;
  readonly remaining: number;
  readonly recordsPerSecond: number;
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

export interface WorkerInfo {
  readonly workerId: string;
  readonly state: "CREATED" | "REBALANCING" | "RUNNING" | "PENDING_SHUTDOWN" | "NOT_RUNNING" | "ERROR";
  readonly tasks: readonly TaskInfo[];
  /** All members of the group with their advertised URL and tasks, as of the last rebalance. */
  readonly members: readonly { workerId: string; url: string | undefined; tasks: readonly string[] }[];
}

/** Where a key's state lives now. */
export type Location =
  | { readonly kind: "local"; readonly taskId: string }
  | { readonly kind: "remote"; readonly url: string; readonly workerId: string }
  /** Moving or restoring: ask again later; never answered from elsewhere. */
  | { readonly kind: "unavailable"; readonly retryAfterMs: number };

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

export interface Queries {
  worker(): WorkerInfo;
  topology(): TopologyView;
  /** By the partition that the key lands on in the sources of the store's sub-topology. Throws for a store the topology does not have. */
  locate(store: string, key: string): Location;
  /** Committed value of a row of a local task; undefined when there is none. Throws StateUnavailableError when the task moved meanwhile. */
  get(store: string, key: string): Promise<unknown>;
  /** Committed rows of local tasks with the key prefix, in key-byte order after `after`, at most `limit`. */
  scan(store: string, options: { prefix?: string; after?: string; limit: number }): Promise<readonly { key: string; value: unknown }[]>;
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
