/**
 * A fleet that no test machine holds, on paper: 100 M devices, 10 M events/s. What is computed comes from the real assignor and the real
 * serializers; what cannot be had so is a formula over these and over the options. docs/scale.md explains and judges. A minute.
 *
 *     npm run bench:scale -- [--devices 100000000] [--events-per-second 10000000] [--window-ms 10000] [--commits-per-second 10] [--brokers 30]
 */
import { parseArgs } from "node:util";
import { conditions } from "./conditions.ts";
import { report } from "./report.ts";
import { SimulatedGroup } from "./scale-group.ts";
import { jobBytes, type JobBytes } from "./scale-job.ts";

const { values } = parseArgs({
  options: {
    devices: { type: "string", default: "100000000" },
    "events-per-second": { type: "string", default: "10000000" },
    "window-ms": { type: "string", default: "10000" },
    "commits-per-second": { type: "string", default: "10" },
    brokers: { type: "string", default: "30" },
    groups: { type: "string", default: "256x32,1024x100,1024x500,2048x200,4096x500" },
  },
});
const devices = Number(values.devices);
const eventsPerSecond = Number(values["events-per-second"]);
const windowMs = Number(values["window-ms"]);
const commitsPerSecond = Number(values["commits-per-second"]);
const brokers = Number(values.brokers);
const groups = values.groups.split(",").map((group) => group.split("x").map(Number));
/** More than the rings of closed windows hold, twice. */
const SAMPLES = 160;
/** Connections to each broker that leads one of its partitions: 4 to 6 were counted (docs/scale.md). */
const CONNECTIONS_A_BROKER = 6;
/** AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn: runtime/log-sink.ts, eventlog/kafka/writer/. */
const REQUESTS_A_TRANSACTION = 4;

report.log(JSON.stringify(conditions()));
const reportMs = (devices / eventsPerSecond) * 1_000;
const bytes = await jobBytes(reportMs, windowMs, Math.ceil((SAMPLES * Math.max(windowMs, reportMs)) / reportMs));
report.log(`\nBytes: each device an event every ${reportMs} ms, windows of ${windowMs} ms`);
report.table({ raw: traffic(bytes.raw), ...mapValues(bytes.written, traffic) });
report.table(
  mapValues(bytes.kept, ({ rowsPerDevice, bytesPerDevice }) => ({
    rowsPerDevice: round(rowsPerDevice),
    bytesPerDevice: Math.round(bytesPerDevice),
    TBInAll: round((bytesPerDevice * devices) / 1e12),
  })),
);
const total = { written: sum(Object.values(bytes.written).map(({ bytesPerEvent }) => bytesPerEvent)) };
report.log(`into the brokers, once: raw ${rate(bytes.raw.bytesPerEvent)}, written by workers ${rate(total.written)}`);

report.log("\nThe group: one assignment, and what moves");
const table: Record<string, unknown> = {};
for (const standbyReplicas of [0, 1]) {
  for (const [partitions, workers] of groups) {
    const group = new SimulatedGroup(partitions, workers, standbyReplicas);
    const [start, death, join] = [await group.start(), await group.oneDies(), await group.oneJoins()];
    const largest = (of: (rebalance: typeof start) => number): number => Math.max(of(start), of(death), of(join));
    table[`${partitions} tasks, ${workers} workers, ${standbyReplicas} standbys`] = {
      assignMs: Math.round(largest(({ assignMs }) => assignMs)),
      joinKB: kb(largest(({ subscriptionBytes }) => subscriptionBytes)),
      syncKB: kb(largest(({ assignmentBytes }) => assignmentBytes)),
      oneKB: kb(largest(({ oneAssignmentBytes }) => oneAssignmentBytes)),
      groupRecordKB: kb(largest(({ subscriptionBytes, assignmentBytes }) => subscriptionBytes + assignmentBytes)),
      deathRounds: death.rounds,
      deathMoved: death.moved,
      joinRounds: join.rounds,
      joinMoved: join.moved,
    };
  }
}
report.table(table);

report.log(`\nAt the brokers: ${brokers} of them, ${commitsPerSecond} commits a second and worker`);
report.table(
  Object.fromEntries(groups.map(([partitions, workers]) => [`${partitions} tasks, ${workers} workers`, load(bytes, partitions, workers)])),
);

/** Formulas; docs/scale.md has them in words. */
function load(job: JobBytes, partitions: number, workers: number): Record<string, number> {
  const tasks = partitions / workers;
  const topics = Object.values(job.written).filter(({ recordsPerEvent }) => recordsPerEvent > 0).length;
  const transactions = workers * commitsPerSecond;
  const leaders = Math.min(brokers, tasks * topics);
  return {
    eventsPerWorker: Math.round(eventsPerSecond / workers),
    devicesPerWorker: Math.round(devices / workers),
    rowsToRestore: Math.round((devices / workers) * sum(Object.values(job.kept).map(({ rowsPerDevice }) => rowsPerDevice))),
    GBToRestore: round(((devices / workers) * sum(Object.values(job.kept).map(({ bytesPerDevice }) => bytesPerDevice))) / 1e9),
    transactionsPerSecond: transactions,
    markersPerSecond: Math.round(transactions * (tasks * topics + 1)),
    produceRequestsPerSecond: Math.round(transactions * leaders),
    otherTxnRequestsPerSecond: transactions * REQUESTS_A_TRANSACTION,
    connections: Math.round(workers * CONNECTIONS_A_BROKER * leaders),
    partitionsInAll: partitions * (1 + topics),
  };
}

function traffic({ recordsPerEvent, bytesPerEvent }: { recordsPerEvent: number; bytesPerEvent: number }) {
  return {
    recordsPerEvent: round(recordsPerEvent),
    bytesPerEvent: Math.round(bytesPerEvent),
    GBPerSecond: round((bytesPerEvent * eventsPerSecond) / 1e9),
  };
}

function rate(bytesPerEvent: number): string {
  return `${round((bytesPerEvent * eventsPerSecond) / 1e9)} GB/s`;
}

function mapValues<T, R>(record: Readonly<Record<string, T>>, to: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, to(value)]));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function kb(bytes: number): number {
  return Math.round(bytes / 100) / 10;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
