/** A worker's Queries and Feed in memory, for API tests: rows by store and key, a feed that is pushed by hand. */
import { rowCursor } from "../../../../runtime/queries.ts";
import type {
  CopiesOf,
  EdgeCount,
  Feed,
  FeedRecord,
  LocateOptions,
  Location,
  Queries,
  RowsHere,
  ScanOptions,
  StandbyLocation,
  StoreInfo,
  StoreRow,
  TopologyView,
  WorkerInfo,
} from "../../../../runtime/queries.ts";

export class FakeQueries implements Queries {
  readonly rows = new Map<string, Map<string, unknown>>();
  info: WorkerInfo;
  view: TopologyView = { text: "", mermaid: "", nodes: [], edges: [] };
  /** Where keys live; local by default. */
  location: (key: string) => Location = () => ({ kind: "local", taskId: "0_0" });
  /** Set: get and scan fail with it. */
  failure: Error | undefined;
  storeInfos: StoreInfo[] = [];
  readonly located: ({ key: string } & LocateOptions)[] = [];
  readonly scans: { store: string; limit: number }[] = [];

  constructor(workerId = "w1") {
    this.info = {
      workerId,
      state: "RUNNING",
      tasks: [],
      members: [{ workerId, url: undefined, tasks: ["0_0"], standbys: [] }],
      standbys: [],
    };
  }

  put(store: string, key: string, value: unknown): void {
    const rows = this.rows.get(store) ?? new Map<string, unknown>();
    this.rows.set(store, rows.set(key, value));
  }

  putWindow(store: string, key: string, windowStart: number, value: unknown): void {
    this.put(store, rowCursor({ key, windowStart }), value);
  }

  setEdges(edges: readonly EdgeCount[]): void {
    this.view = { ...this.view, edges };
  }

  worker(): WorkerInfo {
    return this.info;
  }

  topology(): TopologyView {
    return this.view;
  }

  stores(): readonly StoreInfo[] {
    return this.storeInfos;
  }

  locate(key: string, options: LocateOptions = {}): Location {
    this.located.push({ key, ...options });
    return this.location(key);
  }

  /** None by default. */
  standbyLocations: readonly StandbyLocation[] = [];

  standbysOf(): readonly StandbyLocation[] {
    return this.standbyLocations;
  }

  windows(store: string, key: string, { from, to, limit }: { from: number; to: number; limit: number }): Promise<readonly StoreRow[]> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const rows = [...(this.rows.get(store) ?? [])].map(([row, value]) => ({
      key: row.split("\0")[0],
      windowStart: Number(row.split("\0")[1]),
      value,
    }));
    return Promise.resolve(
      rows
        .filter((row) => row.key === key && row.windowStart >= from && row.windowStart < to)
        .sort((a, b) => a.windowStart - b.windowStart)
        .slice(0, limit),
    );
  }

  get(store: string, key: string): Promise<unknown> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return Promise.resolve(this.rows.get(store)?.get(key));
  }

  /** Of the whole group, whatever the store. */
  allTasks: readonly string[] | undefined = ["0_0"];
  /** Of the tasks of others, with their age. */
  readonly copies = new Map<string, { readonly stalenessMs: number; readonly queries: FakeQueries }>();

  tasksOf(): readonly string[] | undefined {
    return this.allTasks;
  }

  rowsHere(store: string, copies?: CopiesOf): RowsHere {
    if (copies === undefined) {
      const own = this.info.members.find(({ workerId }) => workerId === this.info.workerId)?.tasks ?? [];
      const up = own.filter((id) => this.info.tasks.every(({ taskId, status }) => taskId !== id || status === "running"));
      return { sources: up.map((taskId) => ({ taskId, stalenessMs: 0 })), scan: (options) => this.scan(store, options) };
    }
    const { taskIds, maxStalenessMs } = copies;
    const fresh = [...this.copies].filter(([taskId, { stalenessMs }]) => taskIds.includes(taskId) && stalenessMs <= maxStalenessMs);
    return {
      sources: fresh.map(([taskId, { stalenessMs }]) => ({ taskId, stalenessMs })),
      scan: async (options) => (await Promise.all(fresh.map(([, { queries }]) => queries.scan(store, options)))).flat(),
    };
  }

  scan(store: string, options: ScanOptions): Promise<readonly StoreRow[]> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.scans.push({ store, limit: options.limit });
    const { prefix = "", from = "", to, after, limit } = options;
    const isWindowed = this.storeInfos.some(({ name, kind }) => name === store && kind === "window");
    const rows = [...(this.rows.get(store) ?? [])]
      .filter(
        ([key]) =>
          key.startsWith(prefix) &&
          key >= from &&
          (to === undefined || key < to) &&
          (after === undefined || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0),
      )
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return Promise.resolve(
      rows
        .slice(0, limit)
        .map(([key, value]) => (isWindowed ? { key: key.split("\0")[0], windowStart: Number(key.split("\0")[1]), value } : { key, value })),
    );
  }
}

type Listener = (records: readonly FeedRecord[], dropped: number) => void;

export class FakeFeed implements Feed {
  readonly listeners = new Set<Listener>();
  #offset = 0;

  subscribe(_topics: readonly string[], onRecords: Listener): { close(): void } {
    this.listeners.add(onRecords);
    return { close: () => void this.listeners.delete(onRecords) };
  }

  push(records: readonly FeedRecord[], dropped = 0): void {
    for (const listener of this.listeners) listener(records, dropped);
  }

  record(topic: string, key: string, value: object | string): FeedRecord {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return { topic, partition: 0, offset: this.#offset++, timestamp: 0, key: Buffer.from(key), value: Buffer.from(text) };
  }
}
