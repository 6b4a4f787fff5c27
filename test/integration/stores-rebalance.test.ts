/** `/v1/stores/...` of `sluice worker` processes on a real Kafka while workers come and go under load: late at worst, never wrong. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { deviceKey } from "../../processors/formats/names.ts";
import { STORES, type LedgerView } from "../../processors/formats/records.ts";
import type { TaskInfo } from "../../runtime/queries.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { createJobTopics, jobTopics, waitUntilDrained, writeRaw, type RawEvent } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka");
const PARTITIONS = 4;
const DEVICES = Array.from({ length: 40 }, (_, n) => `d${n}`);
const READERS = 4;
/** Readings of each device at a time: about 2,000 events a second. */
const ROUNDS_AT_ONCE = 5;
const WRITE_EVERY_MS = 100;
const MOVED_WITHIN_MS = 60_000;

interface Served {
  readonly cli: CliProcess;
  readonly url: string;
  /** From the moment it is told to end: what it does not answer is no fault. */
  ending: boolean;
}

test("counts read by key never go back and never run ahead while workers join, leave and die under load", { skip }, async (t) => {
  const { start, load, drained } = await newJob(t);
  const workers = new Set([await start(), await start()]);
  const [first, second] = workers;
  const reads = new Reads(t, workers, load);
  await untilShared([first, second]);
  await reads.untilMore();

  const third = await start();
  workers.add(third);
  await untilShared([first, second, third]);
  await reads.untilMore();

  await leave(workers, second, () => second.cli.stop());
  await untilShared([first, third]);
  await reads.untilMore();

  const refusedBefore = reads.refused;
  await leave(workers, third, () => third.cli.kill("SIGKILL"));
  await waitFor("keys of the dead worker are refused for now", () => reads.refused > refusedBefore, { deadlineMs: MOVED_WITHIN_MS });
  await untilShared([first]);
  const fourth = await start();
  workers.add(fourth);
  await untilShared([first, fourth]);
  await reads.untilMore();

  await load.stop();
  await drained();
  await reads.stop();
  t.diagnostic(`${reads.answered} answers, ${reads.refused} refused with Retry-After`);
  for (const worker of workers)
    for (const device of DEVICES) assert.equal((await ledger(worker, device)).received, load.rounds, `${device}, asked of either worker`);
  for (const { cli } of workers) assert.equal((await cli.stop()).code, 0);
});

async function leave(workers: Set<Served>, worker: Served, end: () => Promise<unknown>): Promise<void> {
  worker.ending = true;
  await end();
  workers.delete(worker);
}

async function newJob(t: TestContext): Promise<{ start: () => Promise<Served>; load: Load; drained: () => Promise<void> }> {
  const kafka = await sharedKafka();
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "stores-rebalance", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  const topics = jobTopics();
  await createJobTopics(log, topics, PARTITIONS);
  const applicationId = uniqueName("stores");
  const start = async (): Promise<Served> => {
    const cli = await spawnCli(t, ["worker"], {
      config: {
        applicationId,
        kafka: { brokers: kafka.bootstrap, sessionTimeoutMs: 6_000 },
        topics,
        processing: { commitIntervalMs: 20 },
        state: { dir: tempDir(t, "stores") },
        http: { port: 0 },
        log: { level: "info" },
      },
    });
    const [, url] = await cli.waitForOutput(/"url":"(http:[^"]+)"/);
    return { cli, url, ending: false };
  };
  const load = new Load(t, (events) => writeRaw(log, topics.raw, events));
  await load.write();
  return { start, load, drained: () => waitUntilDrained(log, applicationId, topics.raw) };
}

/** One reading of each device in a round. */
class Load {
  readonly #write: (events: Iterable<RawEvent>) => Promise<number>;
  readonly #stopped = new AbortController();
  readonly #start = Date.now() - 600_000;
  #running: Promise<void> | undefined;
  /** Handed to the log: no device has more. */
  rounds = 0;

  constructor(t: TestContext, write: (events: Iterable<RawEvent>) => Promise<number>) {
    this.#write = write;
    t.after(() => this.stop());
  }

  async write(): Promise<void> {
    const from = this.rounds;
    this.rounds += ROUNDS_AT_ONCE;
    await this.#write(this.#readings(from));
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.write();
      await delay(WRITE_EVERY_MS, undefined, { signal }).catch(() => undefined); // stopped: the loop ends
    }
  }

  *#readings(from: number): Generator<RawEvent> {
    for (let seq = from; seq < from + ROUNDS_AT_ONCE; seq++)
      for (const deviceId of DEVICES) {
        const ts = this.#start + seq * 10;
        yield {
          tenant: "demo",
          deviceId,
          value: Buffer.from(JSON.stringify({ deviceId, bootId: "b", seq, ts, tempC: 20 })),
          receivedTs: ts,
        };
      }
  }
}

/** Readers that ask any worker for any device's ledger, one question after the other. */
class Reads {
  readonly #workers: ReadonlySet<Served>;
  readonly #load: Load;
  /** Greatest count answered, by device. */
  readonly #seen = new Map<string, number>();
  readonly #readers: Promise<void>;
  #problem: Error | undefined;
  #stopped = false;
  answered = 0;
  refused = 0;

  constructor(t: TestContext, workers: ReadonlySet<Served>, load: Load) {
    this.#workers = workers;
    this.#load = load;
    this.#readers = Promise.all(Array.from({ length: READERS }, (_, reader) => this.#read(reader))).then(() => undefined);
    this.#readers.catch((error: unknown) => (this.#problem = error as Error));
    t.after(() => {
      this.#stopped = true;
    });
  }

  /** Every device's count has grown since: its task is at work and answers. */
  async untilMore(): Promise<void> {
    const before = new Map(this.#seen);
    await waitFor(
      "a greater count of every device",
      () => this.#problem !== undefined || DEVICES.every((device) => (this.#seen.get(device) ?? 0) > (before.get(device) ?? 0)),
      { deadlineMs: MOVED_WITHIN_MS },
    );
    if (this.#problem !== undefined) throw this.#problem;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#readers;
  }

  async #read(reader: number): Promise<void> {
    for (let n = reader; !this.#stopped; n++) {
      const workers = [...this.#workers];
      await this.#ask(workers[n % workers.length], DEVICES[Math.floor(n / workers.length) % DEVICES.length]);
    }
  }

  /** What the workers said of it. */
  #errors(): string {
    const lines = [...this.#workers].flatMap(({ cli }) => cli.stderr().split("\n"));
    return lines.filter((line) => line.includes('"level":50')).join("\n");
  }

  async #ask(worker: Served, device: string): Promise<void> {
    const atLeast = this.#seen.get(device) ?? 0;
    let answer: Response;
    try {
      answer = await ask(worker, device);
    } catch (error) {
      if (worker.ending) return;
      throw error;
    }
    const body = await answer.text();
    if (answer.status === 503) {
      assert.ok(Number(answer.headers.get("retry-after")) > 0, `Retry-After of ${body}`);
      this.refused++;
      return;
    }
    if (answer.status === 404 && atLeast === 0) return; // its first reading is not committed yet
    assert.equal(answer.status, 200, `${device}, seen ${atLeast} times: ${body} ${this.#errors()}`);
    const { received } = (JSON.parse(body) as { value: LedgerView }).value;
    assert.ok(received >= atLeast, `${device}: ${received} after ${atLeast}`);
    assert.ok(received <= this.#load.rounds, `${device}: ${received} of ${this.#load.rounds}`);
    this.#seen.set(device, Math.max(received, this.#seen.get(device) ?? 0));
    this.answered++;
  }
}

function ask({ url }: Served, device: string): Promise<Response> {
  const key = encodeURIComponent(deviceKey("demo", device));
  return fetch(`${url}/v1/stores/${STORES.ledger}/${key}`, { signal: AbortSignal.timeout(20_000) });
}

async function ledger(worker: Served, device: string): Promise<LedgerView> {
  const answer = await ask(worker, device);
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { value: LedgerView }).value;
}

/** Each of these has a task that runs, all together have all of them. */
async function untilShared(workers: readonly Served[]): Promise<void> {
  await waitFor(
    `${workers.length} workers share the tasks`,
    async () => {
      const tasks = await Promise.all(workers.map(runningTasks));
      return tasks.every((ids) => ids.length > 0) && tasks.flat().length === PARTITIONS;
    },
    { deadlineMs: MOVED_WITHIN_MS, intervalMs: 100 },
  );
}

async function runningTasks({ url }: Served): Promise<string[]> {
  const answer = await fetch(`${url}/v1/tasks?scope=local`, { signal: AbortSignal.timeout(5_000) });
  const { workers } = (await answer.json()) as { workers: { tasks: TaskInfo[] }[] };
  return workers.flatMap(({ tasks }) => tasks.filter(({ status }) => status === "running").map(({ taskId }) => taskId));
}
