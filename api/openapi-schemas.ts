/** `components.schemas` of `/openapi.json`: the shapes of processors/formats/records.ts and of the API's own answers. */
import { COMMAND_REASONS, COMMAND_STATES, GUARANTEES } from "../processors/formats/commands.ts";

const string = { type: "string" } as const;
const number = { type: "number" } as const;
const count = { type: "integer", minimum: 0 } as const;
const ms = { type: "integer", description: "Epoch milliseconds" } as const;
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const arrayOf = (items: object) => ({ type: "array", items });
const mapOf = (additionalProperties: object) => ({ type: "object", additionalProperties });

/** All properties are required but those in `optional`. */
function object(properties: Record<string, object>, optional: Record<string, object> = {}): object {
  return { type: "object", required: Object.keys(properties), properties: { ...properties, ...optional } };
}

const device = { tenant: string, deviceId: string };
const attributes = mapOf({ type: ["string", "number", "boolean"] });
const ledgerCounts = {
  ...device,
  ...Object.fromEntries(
    ["received", "duplicates", "outOfOrder", "gapsOpen", "lost", "reboots", "withoutIdentity", "late"].map((name) => [name, count]),
  ),
  firstTs: ms,
  lastTs: ms,
};
const state = {
  v: { const: 1 },
  ...device,
  ts: ms,
  receivedTs: ms,
  metrics: mapOf(object({ value: number, ts: ms })),
  attributes,
};
const identity = { bootId: string, seq: count };
const presence = {
  oneOf: [ref("Presence"), { type: "null" }],
  description: "Whether it is there; null: nothing was ever told of it. Absent: presence is off, or not read yet",
};
const list = (field: string, items: object) =>
  object(
    {
      [field]: arrayOf(items),
      next: { type: ["string", "null"], description: "`after` of the next page; null at the end" },
      complete: { type: "boolean" },
      missing: arrayOf(ref("MissingWorker")),
    },
    {
      sources: {
        ...arrayOf(object({ taskId: string, stalenessMs: count })),
        description: "With scope=local: the tasks whose rows these are. `stalenessMs` is 0 but for copies",
      },
    },
  );

const anyObject = { type: "object", additionalProperties: true };

export const SCHEMAS: Readonly<Record<string, object>> = {
  Problem: object({ type: string, title: string, status: count, detail: string, code: string }, { missing: arrayOf(ref("MissingWorker")) }),
  MissingWorker: object({ workerId: string, reason: string }),
  Health: object({ status: string }, { version: string, state: string }),
  TenantList: list("tenants", object({ tenant: string })),
  DeviceState: object(state, { ...identity, presence }),
  DeviceList: list("devices", ref("DeviceState")),
  Device: object(
    { ...state, ledger: { oneOf: [ref("LedgerSummary"), { type: "null" }] }, activeAlerts: arrayOf(ref("Alert")) },
    { ...identity, presence },
  ),
  Presence: object(
    {
      status: { type: "string", enum: ["online", "offline", "stale"] },
      reason: { ...string, description: "telemetry, state, silence, or the device's own word for it" },
      sinceTs: ms,
      lastSeenTs: { ...ms, description: "As of the change; 0: never heard itself" },
      retained: { type: "boolean", description: "The change came by a retained message" },
    },
    { gateway: string, ingress: string },
  ),
  LedgerSummary: object({ ...ledgerCounts, boots: count }),
  Ledger: object({
    ...ledgerCounts,
    boots: arrayOf(
      object({
        bootId: string,
        implicit: { type: "boolean" },
        intervals: arrayOf({ type: "array", items: count, minItems: 2, maxItems: 2 }),
        firstTs: ms,
        lastTs: ms,
      }),
    ),
  }),
  MetricAggregate: object(
    Object.fromEntries(["count", "sum", "min", "max", "mean", "variance", "first", "last"].map((name) => [name, number])),
  ),
  Aggregate: object({
    v: { const: 1 },
    ...device,
    window: object({ type: { const: "tumbling" }, start: ms, end: ms }),
    final: { const: true },
    metrics: mapOf(ref("MetricAggregate")),
  }),
  AggregateList: object({ aggregates: arrayOf(ref("Aggregate")), truncated: { type: "boolean" } }),
  Alert: object({
    v: { const: 1 },
    id: string,
    ...device,
    rule: string,
    severity: string,
    state: { enum: ["firing", "resolved"] },
    value: number,
    threshold: number,
    startedTs: ms,
    ts: ms,
    message: string,
  }),
  Alerts: object({ active: arrayOf(ref("Alert")), recent: arrayOf(ref("Alert")) }),
  FiringList: list("devices", object({ deviceId: string, active: arrayOf(ref("Alert")) })),
  StoreList: object({
    stores: arrayOf(object({ name: string, kind: { enum: ["key-value", "window"] }, changelog: { type: "boolean" } })),
  }),
  StoreRow: object({ key: string, value: { description: "As the store's processor shows its rows" } }, { windowStart: ms }),
  RowList: list("rows", ref("StoreRow")),
  WindowList: object({ windows: arrayOf(ref("StoreRow")), truncated: { type: "boolean" } }),
  Tasks: object({ workers: arrayOf(ref("Worker")), missing: arrayOf(ref("MissingWorker")) }),
  Worker: object({
    workerId: string,
    state: string,
    tasks: arrayOf(ref("Task")),
    standbys: arrayOf(
      object({
        taskId: string,
        partition: count,
        warmup: { type: "boolean" },
        lag: { type: ["integer", "null"] },
        stalenessMs: { type: ["integer", "null"] },
      }),
    ),
    members: arrayOf(object({ workerId: string, tasks: arrayOf(string), standbys: arrayOf(string) }, { url: string })),
  }),
  Task: object({
    taskId: string,
    partition: count,
    status: string,
    inputs: arrayOf(object({ topic: string, partition: count, position: number, endOffset: number, lag: number })),
    stores: arrayOf(object({ name: string, cachedRows: count, dirtyRows: count, changelogPosition: number, checkpointPosition: number })),
    restore: arrayOf(
      object(
        {
          store: string,
          restored: count,
          restoredBytes: count,
          remaining: {
            ...count,
            description: "Changelog offsets still to read: at most so many records (compaction, transaction markers)",
          },
          recordsPerSecond: number,
          offsetsPerSecond: number,
        },
        { timeLeftMs: { ...count, description: "At the rate of the last seconds; absent while nothing comes" } },
      ),
    ),
    streamTime: number,
    receiveTime: number,
  }),
  Topology: object({
    text: string,
    mermaid: string,
    nodes: arrayOf(object({ name: string, kind: { enum: ["source", "processor", "sink", "store"] } }, { topic: string })),
    edges: arrayOf(object({ from: string, to: string, records: count })),
    workers: arrayOf(string),
    missing: arrayOf(ref("MissingWorker")),
  }),
  Control: object({
    ...device,
    commands: { oneOf: [arrayOf(ref("Command")), { type: "null" }], description: "null: commands are off" },
    shadow: { oneOf: [ref("Shadow"), { type: "null" }] },
  }),
  Shadow: object(
    {
      v: { const: 1 },
      ...device,
      version: { ...count, description: "Up by one with each change" },
      desired: anyObject,
      reported: anyObject,
      metadata: object({ desired: anyObject, reported: anyObject }),
      ts: ms,
    },
    { delta: { ...anyObject, description: "What the device has yet to do; absent when it is as desired" } },
  ),
  ShadowChange: object(
    { id: string, outcome: { type: "string", enum: ["applied", "accepted"], description: "accepted: in the log, and not applied yet" } },
    { version: count, shadow: { oneOf: [ref("Shadow"), { type: "null" }] } },
  ),
  Command: object(
    {
      v: { const: 1 },
      id: string,
      ...device,
      name: string,
      state: { enum: ["queued", ...COMMAND_STATES] },
      attempts: { ...count, description: "How often it was sent" },
      guarantee: { enum: GUARANTEES },
      ts: { ...ms, description: "Epoch milliseconds of this state" },
      expiresTs: ms,
    },
    {
      reason: { enum: COMMAND_REASONS },
      message: string,
      offset: count,
      result: { description: "What the device answered" },
    },
  ),
  OpenApi: { type: "object" },
};
