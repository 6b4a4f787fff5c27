/** A plant in memory that the dashboard is shown: devices, windows, alerts and counts move when the script says so. */
import { type AlertRecord, type DeviceStateRecord, type DeviceStateRowShape, STORES } from "../../../processors/formats/records.ts";
import type { FeedRecord } from "../../../runtime/queries.ts";
import { TOPICS } from "../../unit/api/support/api.ts";
import type { FakeFeed, FakeQueries } from "../../unit/api/support/fake-worker.ts";
import { ledgerRow } from "../../unit/api/support/rows.ts";

const NODES = [
  { name: "telemetry", kind: "source", topic: "iot.telemetry.raw" },
  { name: "decode", kind: "processor" },
  { name: "normalize", kind: "processor" },
  { name: "dedupe", kind: "processor" },
  { name: "ledger", kind: "store" },
  { name: "windows", kind: "processor" },
  { name: "window-state", kind: "store" },
  { name: "aggregate-history", kind: "store" },
  { name: "rules", kind: "processor" },
  { name: "alerts", kind: "store" },
  { name: "last-values", kind: "processor" },
  { name: "device-state", kind: "store" },
  { name: "normalized-out", kind: "sink", topic: TOPICS.normalized },
  { name: "aggregates-out", kind: "sink", topic: TOPICS.aggregates },
  { name: "alerts-out", kind: "sink", topic: TOPICS.alerts },
  { name: "state-out", kind: "sink", topic: "iot.device.state" },
] as const;

/** Edge and its share of what comes in. */
const EDGES: readonly (readonly [string, string, number])[] = [
  ["telemetry", "decode", 1],
  ["decode", "normalize", 0.998],
  ["normalize", "dedupe", 0.998],
  ["dedupe", "normalized-out", 0.9],
  ["dedupe", "windows", 0.9],
  ["dedupe", "rules", 0.9],
  ["dedupe", "last-values", 0.9],
  ["windows", "aggregates-out", 0.09],
  ["rules", "alerts-out", 0.001],
  ["last-values", "state-out", 0.4],
  ["dedupe", "ledger", 0],
  ["windows", "window-state", 0],
  ["windows", "aggregate-history", 0],
  ["rules", "alerts", 0],
  ["last-values", "device-state", 0],
];

const WINDOW_MS = 10_000;
const TENANT = "demo";

export class ScriptedPlant {
  readonly #queries: FakeQueries;
  readonly #feed: FakeFeed;
  readonly #ids: readonly string[];
  #seq = 1000;

  constructor(queries: FakeQueries, feed: FakeFeed, ids: readonly string[]) {
    this.#queries = queries;
    this.#feed = feed;
    this.#ids = ids;
    const task = { status: "running", stores: [], restore: [], streamTime: 0, receiveTime: 0 } as const;
    const tasks = [0, 1, 2, 3].map((partition) => ({
      ...task,
      taskId: `0_${partition}`,
      partition,
      inputs: [{ topic: "iot.telemetry.raw", partition, position: 100, endOffset: 103, lag: 3 }],
    }));
    queries.info = { ...queries.info, tasks };
    this.count(0);
  }

  /** Windows of the last minutes, as a worker that has run for a while has them. */
  fillHistory(nowMs: number, minutes: number): void {
    const last = Math.floor(nowMs / WINDOW_MS) * WINDOW_MS - WINDOW_MS;
    for (const id of this.#ids) {
      for (let slot = 0; slot < minutes * 6; slot++)
        this.#queries.put(STORES.aggregateHistory, `${TENANT}|${id}|${WINDOW_MS}|${slot}`, window(id, last - slot * WINDOW_MS));
    }
  }

  /** Every device says something at `atMs`. `live` tells the stream too. */
  tick(atMs: number, live = true): void {
    const seq = this.#seq++;
    const records: FeedRecord[] = [];
    for (const [index, deviceId] of this.#ids.entries()) {
      const metrics = { temperature_c: temperature(atMs, index), rotation_rpm: rotation(atMs, index) };
      this.say(deviceId, atMs, seq, metrics);
      const value = {
        v: 1,
        tenant: TENANT,
        deviceId,
        bootId: "b7",
        seq,
        ts: atMs,
        receivedTs: atMs + 40,
        metrics,
        attributes: {},
        flags: [],
      };
      if (live) records.push(this.#feed.record(TOPICS.normalized, `${TENANT}|${deviceId}`, value));
    }
    if (records.length > 0) this.#feed.push(records);
  }

  /** One event of one device, committed and told to the stream. */
  tell(deviceId: string, metrics: Record<string, number>): void {
    const [atMs, seq] = [Date.now(), this.#seq++];
    this.say(deviceId, atMs, seq, metrics);
    const value = {
      v: 1,
      tenant: TENANT,
      deviceId,
      bootId: "b7",
      seq,
      ts: atMs,
      receivedTs: atMs + 40,
      metrics,
      attributes: {},
      flags: [],
    };
    this.#feed.push([this.#feed.record(TOPICS.normalized, `${TENANT}|${deviceId}`, value)]);
  }

  /** State only: what a poll finds and the stream did not bring. */
  say(deviceId: string, atMs: number, seq: number, metrics: Record<string, number>): void {
    const values = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, { value, ts: atMs }]));
    const key = `${TENANT}|${deviceId}`;
    const record: DeviceStateRecord = {
      v: 1,
      tenant: TENANT,
      deviceId,
      bootId: "b7",
      seq,
      ts: atMs,
      receivedTs: atMs + 40,
      metrics: values,
      attributes: { site: "hall-3" },
    };
    const row: DeviceStateRowShape = { record: () => record };
    this.#queries.put(STORES.deviceState, key, row);
    this.#queries.put(STORES.ledger, key, ledgerRow(deviceId, { seq, atMs }));
  }

  closeWindow(deviceId: string, startMs: number): void {
    this.#feed.push([this.#feed.record(TOPICS.aggregates, `${TENANT}|${deviceId}`, window(deviceId, startMs))]);
  }

  alert(deviceId: string, rule: string, state: "firing" | "resolved", startedTs: number, ts: number): void {
    const message = state === "firing" ? "temperature_c 93.4 is above 90" : "temperature_c 87.6 is below 88";
    const base = {
      v: 1,
      id: `${rule}|${deviceId}|${startedTs}`,
      tenant: TENANT,
      deviceId,
      rule,
      severity: "warning",
      threshold: 90,
    } as const;
    const alert: AlertRecord = { ...base, state, value: 93.4, startedTs, ts, message };
    this.#queries.put(STORES.alerts, `${TENANT}|${deviceId}`, { active: state === "firing" ? [alert] : [], recent: [alert] });
    this.#feed.push([this.#feed.record(TOPICS.alerts, `${TENANT}|${deviceId}`, alert)]);
  }

  /** Edge counts as of so many records in. */
  count(records: number): void {
    this.#queries.view = {
      text: "",
      mermaid: "",
      nodes: NODES,
      edges: EDGES.map(([from, to, share]) => ({ from, to, records: Math.round(records * share) })),
    };
  }
}

function temperature(atMs: number, index: number): number {
  return 74 + 9 * Math.sin(atMs / 70_000 + index) + 2.2 * Math.sin(atMs / 6100 + index * 2) + Math.sin(atMs / 990) * 0.6;
}

function rotation(atMs: number, index: number): number {
  return 1200 + 130 * Math.cos(atMs / 110_000 + index) + 25 * Math.sin(atMs / 4700 + index) + Math.sin(atMs / 770) * 8;
}

function window(deviceId: string, start: number): object {
  const of = (each: (atMs: number, index: number) => number): object => {
    const values = Array.from({ length: 20 }, (_, n) => each(start + n * 500, 0));
    const sum = values.reduce((total, value) => total + value, 0);
    return {
      count: 20,
      sum,
      min: Math.min(...values),
      max: Math.max(...values),
      mean: sum / 20,
      variance: 1,
      first: values[0],
      last: values[19],
    };
  };
  const metrics = { temperature_c: of(temperature), rotation_rpm: of(rotation) };
  return { v: 1, tenant: TENANT, deviceId, window: { type: "tumbling", start, end: start + WINDOW_MS }, final: true, metrics };
}
