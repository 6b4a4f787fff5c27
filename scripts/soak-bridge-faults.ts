/**
 * The long form of test/faults/bridge/matrix.test.ts: each fault and QoS with brokers of its own. Prints a table and, as its last line,
 * JSON (--json: a line for each cell is appended to a file too). Exit code 1 when our ingress lost a message, or the job had one twice or out of order.
 *
 *     npm run soak:bridge-faults -- [--messages 1000000] [--devices 1000] [--rate 10000] [--faults a,b] [--qos 1,2] [--json FILE]
 *         [--bridge telegraf --telegraf PATH]     Telegraf in place of `sluice ingress`, for comparison: raw topic only
 */
import { Console } from "node:console";
import { appendFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import { sluice, telegraf } from "../test/faults/bridge/bridges.ts";
import { runCell } from "../test/faults/bridge/cell.ts";
import { dedupe } from "../test/faults/bridge/dedupe.ts";
import { FAULTS, type Fault, type FaultName } from "../test/faults/bridge/faults.ts";
import { ADMISSION, plansFor } from "../test/faults/bridge/plans.ts";
import { Rig, type Outcome } from "../test/faults/bridge/rig.ts";
import { secure } from "../test/faults/bridge/secure.ts";
import { CleanupList } from "../test/support/cleanup.ts";
import { startKafka } from "../test/support/kafka.ts";
import { need } from "../test/support/need.ts";

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "1000000" },
    devices: { type: "string", default: "1000" },
    rate: { type: "string", default: "10000" },
    faults: { type: "string", default: Object.keys(FAULTS).join(",") },
    qos: { type: "string", default: "1,2" },
    bridge: { type: "string", default: "sluice" },
    telegraf: { type: "string", default: "telegraf" },
    json: { type: "string" },
  },
});

/** How soon a dead connection is noticed: sooner than the faults end. */
const CONFIG = { kafka: { requestTimeoutMs: 10_000 }, mqtt: { keepaliveS: 10 } };

interface Row {
  readonly fault: FaultName;
  readonly qos: number;
  readonly bridge: string;
  readonly sent: number;
  /** Raw records of them, and shed ones. */
  readonly inKafka: number;
  readonly lost: number;
  /** Of the lost: never acknowledged by the bridge, so lost by the MQTT broker, or waiting there. */
  readonly lostByBroker: number;
  readonly doubledRaw: number;
  readonly reordered: number;
  /** Of the job's output. Absent: the bridge's records are not the job's. */
  readonly doubledAfterDedupe?: number;
  readonly wrongAfterDedupe?: number;
  readonly devices: number;
  readonly seconds: number;
}

async function cell(fault: FaultName, qos: 1 | 2): Promise<Row> {
  const cleanup = new CleanupList();
  try {
    const kind = values.bridge === "telegraf" ? telegraf(values.telegraf) : sluice;
    const wants: Fault = FAULTS[fault];
    const tls = wants.secure === true ? await secure(cleanup) : undefined;
    const kafka = await startKafka(cleanup, { proxied: true, heapMiB: 768, ...tls?.kafka });
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "bridge-faults", logger: pino({ level: "silent" }) });
    cleanup.after(() => log.close());
    const config = {
      kafka: { ...CONFIG.kafka, ...tls?.rig.config?.kafka },
      mqtt: { ...CONFIG.mqtt, ...tls?.rig.config?.mqtt },
      admission: ADMISSION,
    };
    const rig = await Rig.start(cleanup, { ...tls?.rig, bridge: kind, kafka, log, qos, volatile: wants.volatile, config });
    const plans = plansFor(fault, qos, { messages: number("messages"), devices: number("devices"), rate: number("rate") }, "long");
    const seconds = await runCell(rig, fault, plans, "long");
    const logEnd = rig.bridge.log().slice(-4_000);
    await rig.finish();
    const outcomes = plans.map((plan) => rig.outcomeOf(plan));
    const sum = (key: keyof Outcome): number => outcomes.reduce((total, outcome) => total + outcome[key], 0);
    if (sum("lost") > 0 || sum("doubled") > sum("sent") / 10) process.stderr.write(`the last that the bridge said:\n${logEnd}\n`);
    return {
      fault,
      qos,
      bridge: kind.name,
      sent: sum("sent"),
      inKafka: sum("raw") + sum("shed"),
      lost: sum("lost"),
      lostByBroker: wants.secure === true ? 0 : sum("lost") - sum("lostByBridge"),
      doubledRaw: sum("doubled"),
      reordered: sum("reordered"),
      ...(kind === sluice ? await afterDedupe(cleanup, rig, plans) : {}),
      devices: plans.reduce((total, { devices }) => total + devices, 0),
      seconds: Math.round(seconds),
    };
  } finally {
    await cleanup.run();
  }
}

/** Wrong: lost between the raw topic and the job's output, or out of order in it. */
async function afterDedupe(
  cleanup: CleanupList,
  rig: Rig,
  plans: Parameters<typeof dedupe>[3],
): Promise<Pick<Row, "doubledAfterDedupe" | "wrongAfterDedupe">> {
  const normalized = await dedupe(cleanup, rig.options.kafka, rig, plans);
  const counts = plans.map(({ name }) => ({ raw: rig.raw.of(name), job: normalized.of(name) }));
  return {
    doubledAfterDedupe: counts.reduce((total, { job }) => total + job.doubled, 0),
    wrongAfterDedupe: counts.reduce((total, { raw, job }) => total + Math.abs(job.lost - raw.lost) + job.reordered, 0),
  };
}

function number(name: "messages" | "devices" | "rate"): number {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`--${name} must be a whole number of at least 1`);
  return value;
}

function faults(): FaultName[] {
  return values.faults.split(",").map((name) => {
    if (!Object.hasOwn(FAULTS, name)) throw new RangeError(`unknown fault ${name}; there are ${Object.keys(FAULTS).join(", ")}`);
    return name as FaultName;
  });
}

function isGood(row: Row): boolean {
  return row.lost === row.lostByBroker && row.reordered + (row.doubledAfterDedupe ?? 0) + (row.wrongAfterDedupe ?? 0) === 0;
}

async function main(): Promise<void> {
  const levels = values.qos.split(",").map((text) => (text === "2" ? 2 : 1));
  const wanted = faults();
  const missing = await need("kafka", "mosquitto", "openssl");
  if (missing !== false) throw new Error(missing);
  const rows: Row[] = [];
  for (const fault of wanted) {
    for (const qos of levels) {
      process.stderr.write(`${fault}, QoS ${qos}...\n`);
      const row = await cell(fault, qos);
      rows.push(row);
      if (values.json !== undefined) appendFileSync(values.json, `${JSON.stringify(row)}\n`);
    }
  }
  new Console(process.stdout).table(rows);
  const good = rows.every((row) => isGood(row));
  process.stdout.write(`${JSON.stringify({ good, rows })}\n`);
  process.exitCode = good || values.bridge !== "sluice" ? 0 : 1;
}

await main();
