/** A worker's Queries and Feed in memory, for API tests: rows by store and key, a feed that is pushed by hand. */
import type { EdgeCount, Feed, FeedRecord, Location, Queries, TopologyView, WorkerInfo } from "../../../../runtime/queries.ts";

export class FakeQueries implements Queries {
  readonly rows = new Map<string, Map<string, unknown>>();
  info: WorkerInfo;
  view: TopologyView = { text: "", mermaid: "", nodes: [], edges: [] };
  /** Where keys live; local by default. */
  location: (key: string) => Location = () => ({ kind: "local", taskId: "0_0" });
  /** Set: get and scan fail with it. */
  failure: Error | undefined;
  readonly scans: { store: string; limit: number }[] = [];

  constructor(workerId = "w1") {
    this.info = { workerId, state: "RUNNING", tasks: [], members: [{ workerId, url: undefined, tasks: ["0_0"] }] };
  }

  put(store: string, key: string, value: unknown): void {
    const rows = this.rows.get(store) ?? new Map<string, unknown>();
    this.rows.set(store, rows.set(key, value));
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

  locate(_store: string, key: string): Location {
    return this.location(key);
  }

  get(store: string, key: string): Promise<unknown> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return Promise.resolve(this.rows.get(store)?.get(key));
  }

  scan(store: string, options: { prefix?: string; after?: string; limit: number }): Promise<readonly { key: string; value: unknown }[]> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.scans.push({ store, limit: options.limit });
    const { prefix = "", after, limit } = options;
    const rows = [...(this.rows.get(store) ?? [])]
      .filter(([key]) => key.startsWith(prefix) && (after === undefined || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0))
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return Promise.resolve(rows.slice(0, limit).map(([key, value]) => ({ key, value })));
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
