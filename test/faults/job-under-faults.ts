/**
 * The IoT job in worker processes on a real Kafka, for whatever faults the caller makes. Its outputs are read with kcat under
 * read_committed and compared, record by record, with those of an undisturbed run over the same raw topic.
 */
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { generateFleet } from "../../cli/simulate/fleet.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { Cleanup } from "../support/cleanup.ts";
import { consumeAll, type ConsumedRecord } from "../support/console-consumer.ts";
import type { Kafka } from "../support/kafka.ts";
import { spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import {
  committedSum,
  createJobTopics,
  jobTopics,
  partitionsOf,
  waitUntilDrained,
  writeRaw,
  type JobTopics,
  type RawEvent,
} from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { compareRecords, type Difference } from "./compare-records.ts";
import { WorkerFleet } from "./worker-fleet.ts";

export const OUTPUT_KINDS = ["normalized", "aggregates", "alerts"] as const;
export type OutputKind = (typeof OUTPUT_KINDS)[number];
export type Differences = Readonly<Record<OutputKind, Difference>>;

/** Long enough for a process that waits for its turn on a busy machine, short enough for a test of what comes after it. */
export const SESSION_TIMEOUT_MS = 4_000;
const DRAIN_DEADLINE_MS = 120_000;
/** Of the test's own questions: a frozen broker should not hold them up. */
const REQUEST_TIMEOUT_MS = 5_000;
const logger = pino({ level: "silent" });

export interface JobOptions {
  readonly kafka: Kafka;
  readonly partitions: number;
  readonly devices?: number;
  /** The same seed and count give the same events. */
  readonly seed: number;
  /** All that write() will be asked for. */
  readonly events: number;
  /** Events instead of a simulated fleet's. */
  readonly source?: Iterator<RawEvent>;
  /** Settings of the disturbed workers over the usual ones. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Likewise, of one of them. */
  readonly configOf?: (name: string) => Readonly<Record<string, unknown>>;
  /** Default true. Workers without a name of their own are found dead by their session's end alone. */
  readonly staticMembers?: boolean;
  /** Environment of the disturbed workers, by name. */
  readonly env?: (worker: string) => Readonly<Record<string, string>>;
  /** For state, what workers say, and outputs that differ, kept for the caller. Default: a temporary folder, for the state alone. */
  readonly dir?: string;
}

export class JobUnderFaults {
  readonly log: KafkaLog;
  readonly topics: JobTopics;
  readonly group = uniqueName("disturbed");
  readonly fleet: WorkerFleet;
  readonly #t: Cleanup;
  readonly #options: JobOptions;
  readonly #dir: string;
  readonly #source: Iterator<RawEvent>;
  #written = 0;

  static async create(t: Cleanup, options: JobOptions): Promise<JobUnderFaults> {
    const job = new JobUnderFaults(t, options);
    await createJobTopics(job.log, job.topics, options.partitions);
    return job;
  }

  private constructor(t: Cleanup, options: JobOptions) {
    this.#t = t;
    this.#options = options;
    this.topics = jobTopics();
    this.#dir = options.dir ?? tempDir(t, "faults");
    this.#source = options.source ?? rawEvents(options);
    this.log = new KafkaLog({ brokers: options.kafka.bootstrap, clientId: "faults", logger, requestTimeoutMs: REQUEST_TIMEOUT_MS });
    t.after(() => this.log.close());
    this.fleet = new WorkerFleet((name) =>
      this.#spawn(name, this.group, this.topics, { ...options.config, ...options.configOf?.(name) }, options.env?.(name)),
    );
  }

  /** Of a disturbed worker. */
  stateDir(worker: string): string {
    return join(this.#dir, this.group, worker);
  }

  /** Events written so far. */
  get written(): number {
    return this.#written;
  }

  /** The next events, in order, as the ingress would have written them. */
  async write(count: number): Promise<void> {
    this.#written += await writeRaw(this.log, this.topics.raw, take(this.#source, count));
  }

  /** Waits until the workers have committed so many events (transaction markers are none: the raw topic has no transactions). */
  async untilCommitted(events: number, intervalMs = 20): Promise<void> {
    let problem: Error | undefined;
    await waitFor(
      `${events} events are committed`,
      async () => {
        problem = this.fleet.problem();
        return problem !== undefined || (await committedSum(this.log, this.group, this.topics.raw)) >= events;
      },
      { deadlineMs: DRAIN_DEADLINE_MS, intervalMs },
    );
    if (problem !== undefined) throw problem;
  }

  async drained(): Promise<void> {
    await this.untilCommitted(this.#written);
  }

  /** Of a worker that is stopped: it restores everything when it comes back. */
  wipeState(name: string): void {
    rmSync(this.stateDir(name), { recursive: true, force: true });
  }

  /** What the same raw topic gives without faults. */
  async differences(): Promise<Differences> {
    const calm: JobTopics = { ...jobTopics(), raw: this.topics.raw };
    await createJobTopics(this.log, calm, this.#options.partitions);
    const group = uniqueName("calm");
    const fleet = new WorkerFleet((name) => this.#spawn(name, group, calm, { kafka: { brokers: this.#options.kafka.bootstrap } }));
    await fleet.start("calm");
    await waitUntilDrained(this.log, group, calm.raw, DRAIN_DEADLINE_MS);
    await fleet.stopAll();
    const compared = await Promise.all(
      OUTPUT_KINDS.map(async (kind) => {
        const [expected, actual] = [await this.#output(calm[kind]), await this.#output(this.topics[kind])];
        const difference = compareRecords(expected, actual);
        if (difference.lost + difference.doubled + difference.foreign > 0) this.#keep(kind, { expected, actual });
        return [kind, difference] as const;
      }),
    );
    return Object.fromEntries(compared) as Record<OutputKind, Difference>;
  }

  async #output(topic: string): Promise<string[]> {
    return (await this.read(topic)).map((record) => `${record.partition} ${String(record.key)} ${String(record.value)}`);
  }

  #keep(kind: OutputKind, outputs: Readonly<Record<string, readonly string[]>>): void {
    const { dir } = this.#options;
    if (dir === undefined) return;
    for (const [which, records] of Object.entries(outputs)) writeFileSync(join(dir, `${kind}-${which}.txt`), `${records.join("\n")}\n`);
  }

  /** What kcat sees of a topic under read_committed. */
  async read(topic: string): Promise<ConsumedRecord[]> {
    await this.#stable(topic);
    return consumeAll(this.#options.kafka.bootstrapServers, topic);
  }

  /** A commit is answered before its markers are on every partition: until they are, a reader's end is before what was committed. */
  async #stable(topic: string): Promise<void> {
    const partitions = await partitionsOf(this.log, topic);
    await waitFor(`no transaction is open on ${topic}`, async () => {
      const [stable, all] = await Promise.all(
        (["read_committed", "read_uncommitted"] as const).map((isolation) => this.log.admin.listOffsets(partitions, "latest", isolation)),
      );
      return stable.every(({ partition, offset }) => all.some((end) => end.partition === partition && end.offset === offset));
    });
  }

  async #spawn(
    name: string,
    applicationId: string,
    topics: JobTopics,
    config: Readonly<Record<string, unknown>>,
    env: Readonly<Record<string, string>> = {},
  ): Promise<CliProcess> {
    const { kafka, staticMembers, dir } = this.#options;
    const worker = await spawnCli(this.#t, ["worker"], {
      env,
      config: {
        applicationId,
        ...(staticMembers === false ? {} : { instanceId: name }),
        kafka: { brokers: kafka.bootstrap, sessionTimeoutMs: SESSION_TIMEOUT_MS },
        topics,
        windows: [{ sizeMs: 1_000, graceMs: 500, idleMs: 1_000 }],
        rules: [{ name: "hot", metric: "temperature_c", above: 22, clearBelow: 21 }],
        // one small commit at a time, so that faults fall into all its steps
        processing: { commitIntervalMs: 20 },
        state: { dir: join(this.#dir, applicationId, name), cacheMiB: 8 },
        http: { port: 0 },
        log: { level: "info" },
        ...config,
      },
    });
    if (dir !== undefined) void worker.exited.then(() => appendFileSync(join(dir, `${name}.log`), worker.stderr() + worker.stdout()));
    return worker;
  }
}

/** Unlike Iterator's take() it leaves the source open. */
function* take(source: Iterator<RawEvent>, count: number): Generator<RawEvent> {
  for (let n = 0; n < count; n++) {
    const { value, done } = source.next();
    if (done === true) return;
    yield value;
  }
}

function* rawEvents({ seed, events, devices = 300 }: JobOptions): Generator<RawEvent, void, undefined> {
  const fleet = generateFleet({
    seed,
    tenant: "demo",
    devices,
    count: events,
    rate: 3_000,
    startTs: Date.now() - 600_000,
    duplicates: 0.1,
    duplicateDistance: 5_000,
    reorder: 0.05,
    gaps: 0.01,
    reboots: 0.001,
  });
  for (const event of fleet.events())
    yield { tenant: event.tenant, deviceId: event.deviceId, value: event.bytes, receivedTs: Math.floor(event.sendAtMs) };
}
