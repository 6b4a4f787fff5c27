/** The two measurements of bench/ingress.ts, each with a Mosquitto and topics of its own. */
import type { EventLog } from "../eventlog/port.ts";
import type { BridgeKind, BridgeProcess } from "../test/faults/bridge/bridges.ts";
import { Follower } from "../test/faults/bridge/follower.ts";
import { Load, type LoadPlan } from "../test/faults/bridge/load.ts";
import { Tally } from "../test/faults/bridge/tally.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import { startMosquitto } from "../test/support/mosquitto.ts";
import { createJobTopics, jobTopics, partitionsOf } from "../test/support/telemetry.ts";
import { uniqueName } from "../test/support/unique-name.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { percentiles } from "./percentiles.ts";
import { cpuSeconds, peakRssMiB } from "./process-usage.ts";

export interface Setting {
  readonly kind: BridgeKind;
  readonly log: EventLog;
  /** host:port of Kafka. */
  readonly kafka: string;
  readonly replicas: number;
  /** Sections of our ingress's configuration as JSON; `{replica}` (from 0) and `{replicas}` are filled in. */
  readonly config: string;
  /** Our ingress checks each message, and limits none. */
  readonly admission: boolean;
  readonly qos: 1 | 2;
  readonly clients: number;
  readonly devices: number;
  /** Devices, clients and messages are dealt out among tenants t0, t1, ... */
  readonly tenants: number;
}

export interface DrainFigures {
  readonly messagesPerSecond: number;
  readonly perCpuSecond: number;
  readonly peakRssMiB: number;
  readonly lost: number;
  readonly doubled: number;
}

export interface LatencyFigures {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time of the bridge's processes, in percent of one core. */
  readonly cpuPercent: number;
}

export interface Pace {
  /** Messages a second, of all devices. */
  readonly rate: number;
  /** At this rate before anything is measured. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

const PARTITIONS = 4;
const DEADLINE_MS = 300_000;
const WARM_UP: Omit<LoadPlan, "qos"> = { name: "warmup", tenant: "t0", devices: 20, perDevice: 6_000, rate: 200 };

/** Above what the machine can send, so that only the checking is left. */
const NO_LIMIT = { perSecond: 10_000_000, burst: 10_000_000, policy: "shed" } as const;

/** MQTT broker, topics and bridges that are subscribed. */
class Stand {
  readonly mqttPort: number;
  readonly raw: string;
  readonly bridges: BridgeProcess[] = [];
  readonly #t: Cleanup;
  readonly #setting: Setting;
  readonly #topics = jobTopics();
  readonly #name = uniqueName("bench");

  static async start(t: Cleanup, setting: Setting): Promise<Stand> {
    const mosquitto = await startMosquitto(t, { persistence: false });
    const stand = new Stand(t, setting, mosquitto.port);
    await createJobTopics(setting.log, stand.#topics, PARTITIONS);
    if (setting.admission) await stand.#createAdmissionTopics();
    await stand.startBridges();
    await Promise.all(stand.bridges.map((bridge) => bridge.ready()));
    const warmUp = stand.load({ ...WARM_UP, qos: setting.qos });
    await waitFor("messages come through", async () => (await stand.records()) > 0, { deadlineMs: DEADLINE_MS });
    warmUp.close();
    return stand;
  }

  private constructor(t: Cleanup, setting: Setting, mqttPort: number) {
    this.#t = t;
    this.#setting = setting;
    this.mqttPort = mqttPort;
    this.raw = this.#topics.raw;
  }

  async startBridges(): Promise<void> {
    const { kind, kafka, replicas, config, qos } = this.#setting;
    for (let replica = 0; replica < replicas; replica++) {
      const filled = config.replaceAll("{replica}", String(replica)).replaceAll("{replicas}", String(replicas));
      this.bridges[replica] = await kind.start(this.#t, {
        name: `${this.#name}-${replica}`,
        mqttPort: this.mqttPort,
        qos,
        kafka,
        topics: this.#topics,
        config: { ...this.#admissionSections(), ...(JSON.parse(filled) as Record<string, object>) },
      });
    }
  }

  async #createAdmissionTopics(): Promise<void> {
    await this.#setting.log.admin.createTopics([
      { name: `${this.#name}-shed`, partitions: PARTITIONS, config: { "cleanup.policy": "delete", "retention.ms": "-1" } },
      { name: `${this.#name}-registry`, partitions: PARTITIONS, config: { "cleanup.policy": "compact" } },
    ]);
  }

  #admissionSections(): Record<string, object> {
    if (!this.#setting.admission) return {};
    const maxPayload = { bytes: 900_000, policy: "shed" };
    return {
      admission: { tenantRate: NO_LIMIT, deviceRate: NO_LIMIT, maxPayload, shedTopic: `${this.#name}-shed` },
      deviceRegistry: { mode: "open", topic: `${this.#name}-registry` },
    };
  }

  async stopBridges(): Promise<void> {
    for (const bridge of this.bridges) await bridge.stop();
  }

  load(plan: LoadPlan): Load {
    const load = new Load(plan, this.mqttPort);
    this.#t.after(() => load.close());
    return load;
  }

  /** In the raw topic now. */
  async records(): Promise<number> {
    const { log } = this.#setting;
    const ends = await log.admin.listOffsets(await partitionsOf(log, this.raw), "latest", "read_uncommitted");
    return ends.reduce((sum, { offset }) => sum + offset, 0);
  }

  cpuSeconds(): number {
    return this.bridges.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  }
}

/** A queue that waits at the MQTT broker for the bridge's session: from the first record in Kafka to the last. */
export async function drain(t: Cleanup, setting: Setting, messages: number): Promise<DrainFigures> {
  const stand = await Stand.start(t, setting);
  await stand.stopBridges();
  const plans = plansOf(setting, "drain", messages, Infinity);
  const loads = plans.map((plan) => stand.load(plan));
  await Promise.all(loads.map((load) => load.reached(1)));
  const before = await stand.records();
  await stand.startBridges();
  const started = await waitFor("the first message", async () => ((await stand.records()) > before ? await moment(stand) : undefined), {
    deadlineMs: DEADLINE_MS,
    intervalMs: 1,
  });
  const wanted = before + loads.reduce((sum, load) => sum + load.messages, 0);
  const ended = await waitFor("the last message", async () => ((await stand.records()) >= wanted ? await moment(stand) : undefined), {
    deadlineMs: DEADLINE_MS,
    intervalMs: 5,
  });
  const peak = Math.max(...stand.bridges.map(({ pid }) => peakRssMiB(pid)));
  await stand.stopBridges();
  const tally = new Tally();
  for (const plan of plans) tally.expect(plan);
  await (await Follower.start(setting.log, stand.raw, tally)).finish();
  const counts = plans.map(({ name }) => tally.of(name));
  const carried = ended.records - started.records;
  return {
    messagesPerSecond: Math.round((carried / (ended.atMs - started.atMs)) * 1_000),
    perCpuSecond: Math.round(carried / (ended.cpuS - started.cpuS)),
    peakRssMiB: peak,
    lost: counts.reduce((sum, { lost }) => sum + lost, 0),
    doubled: counts.reduce((sum, { doubled }) => sum + doubled, 0),
  };
}

function plansOf({ devices, clients, qos, tenants }: Setting, name: string, messages: number, rate: number): LoadPlan[] {
  const own = Math.ceil(devices / tenants);
  return Array.from({ length: tenants }, (_, n) => ({
    name: `${name}-${n}`,
    tenant: `t${n}`,
    qos,
    devices: own,
    perDevice: Math.ceil(messages / tenants / own),
    links: Math.ceil(clients / tenants),
    rate: rate / tenants,
  }));
}

async function moment(stand: Stand): Promise<{ readonly atMs: number; readonly records: number; readonly cpuS: number }> {
  const records = await stand.records();
  return { atMs: performance.now(), records, cpuS: stand.cpuSeconds() };
}

/** From a device's publish until a reader of the raw topic has the message. */
export async function latency(t: Cleanup, setting: Setting, { rate, warmUpSeconds, seconds }: Pace): Promise<LatencyFigures> {
  const stand = await Stand.start(t, setting);
  const { log } = setting;
  const reader = log.reader({ isolation: "read_committed" });
  reader.assign(await log.admin.listOffsets(await partitionsOf(log, stand.raw), "latest", "read_committed"));
  const latenciesMs: number[] = [];
  const total = (warmUpSeconds + seconds) * rate;
  const loads = plansOf(setting, "pace", total, rate).map((plan) => stand.load(plan));
  const wanted = loads.reduce((sum, load) => sum + load.messages, 0);
  const deadline = performance.now() + (warmUpSeconds + seconds) * 1_000 + DEADLINE_MS;
  const now = () => ({ atMs: performance.now(), cpuS: stand.cpuSeconds(), messages: latenciesMs.length });
  let from = now();
  while (latenciesMs.length < wanted) {
    if (performance.now() > deadline) throw new Error(`${latenciesMs.length} of ${wanted} messages came through`);
    for (const { records } of await reader.poll(100)) {
      const nowMs = Date.now();
      for (let i = 0; i < records.count; i++) {
        const { deviceId, sentMs } = JSON.parse(String(records.value(i))) as { deviceId: string; sentMs: number };
        if (deviceId.startsWith("pace-")) latenciesMs.push(nowMs - sentMs);
      }
    }
    if (from.messages === 0 && latenciesMs.length >= warmUpSeconds * rate) from = now();
  }
  const to = now();
  const cpuPercent = Math.round(((to.cpuS - from.cpuS) / (to.atMs - from.atMs)) * 100_000);
  await reader.close();
  await stand.stopBridges();
  return { ...percentiles(latenciesMs.slice(from.messages), { p50Ms: 0.5, p99Ms: 0.99 }), cpuPercent };
}
