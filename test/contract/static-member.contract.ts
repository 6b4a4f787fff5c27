/** What becomes of the tasks of a static member that dies: run over each log whose groups it must hold for. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { EventLog } from "../../eventlog/port.ts";
import type { Worker } from "../../runtime/worker.ts";
import { MortalLog } from "../support/mortal-log.ts";
import { waitUntilDrained } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertExact, PARTITIONS, setUp, type Setup } from "../unit/runtime/support/counting-worker.ts";

const KEYS = 20;
const ROUNDS = 10;

/** Nothing that this long holds up ends within a test. */
const LONG_SESSION_MS = 300_000;
const BACK_WITHIN_MS = 20_000;

export interface StaticMemberOptions {
  /** Long enough for a worker to come back in, short enough to wait for its end. */
  readonly sessionTimeoutMs: number;
}

interface Job {
  readonly setup: Setup;
  /** By instance id, on the disk it always has. */
  readonly start: (instanceId: string, log?: EventLog, sessionMs?: number) => Promise<Worker>;
  /** One more time, and all of it counted. */
  readonly more: () => Promise<void>;
}

/** @param makeLog of a log that the test closes. */
export function staticMemberContract(
  name: string,
  makeLog: (t: TestContext) => Promise<EventLog>,
  { sessionTimeoutMs }: StaticMemberOptions,
): void {
  async function newJob(t: TestContext): Promise<Job> {
    const setup = await setUp(t, { own: { log: await makeLog(t), prefix: `${uniqueName("static")}-` } });
    const disks = new Map<string, string>();
    return {
      setup,
      start: async (instanceId, log = setup.log, sessionMs = sessionTimeoutMs) => {
        const dir = disks.get(instanceId) ?? tempDir(t, instanceId);
        disks.set(instanceId, dir);
        const worker = setup.worker({ instanceId, log, sessionTimeoutMs: sessionMs, state: { dir, engine: "level", cacheMiB: 4 } });
        await worker.start();
        return worker;
      },
      more: async () => {
        await setup.feed(KEYS, ROUNDS);
        await waitUntilDrained(setup.log, setup.applicationId, setup.source);
      },
    };
  }

  /** The first worker dies when it hears that half of its tasks are for the second one, which waits for them. */
  async function deadWhileGivingUp({ setup, start, more }: Job): Promise<Worker> {
    const mortal = new MortalLog(setup.log, ({ revoked }) => revoked.length > 0);
    const first = await start("w1", mortal.log);
    await more();
    const second = await start("w2");
    await waitFor("the first is told to give tasks up, and dies", () => mortal.dead);
    await first.stop();
    assert.deepEqual(second.queries.worker().tasks, [], "nobody else runs what may still be held");
    assert.equal(second.state, "REBALANCING", "no list of rows is whole");
    await setup.feed(KEYS, ROUNDS);
    return second;
  }

  test(`${name}: a static member that dies before it gives up a task, and is back in time, gives it up then`, async (t) => {
    const job = await newJob(t);
    const second = await deadWhileGivingUp(job);
    const again = await job.start("w1");
    await bothRun(again, second);
    await job.more();
    await assertExact(job.setup, KEYS, 3 * ROUNDS);
  });

  test(`${name}: a static member that dies before it gives up a task, and never comes back, loses all when its session ends`, async (t) => {
    const job = await newJob(t);
    const second = await deadWhileGivingUp(job);
    await runs(second, PARTITIONS, sessionTimeoutMs + 10_000);
    await job.more();
    await assertExact(job.setup, KEYS, 3 * ROUNDS);
  });

  test(`${name}: a static member that dies with a transaction open and is back at once waits for no session (KIP-345; Kafka Streams: 46 s)`, async (t) => {
    const { setup, start, more } = await newJob(t);
    const mortal = new MortalLog(setup.log);
    const first = await start("w1", mortal.log, LONG_SESSION_MS);
    const second = await start("w2", setup.log, LONG_SESSION_MS);
    await bothRun(first, second);
    await more();
    mortal.killInCommit();
    await setup.feed(KEYS, ROUNDS);
    await waitFor("it dies in a commit", () => mortal.dead);
    await first.stop();
    await start("w1", setup.log, LONG_SESSION_MS);
    await waitUntilDrained(setup.log, setup.applicationId, setup.source, BACK_WITHIN_MS);
    await assertExact(setup, KEYS, 2 * ROUNDS);
  });
}

async function runs(worker: Worker, tasks: number, deadlineMs = 10_000): Promise<void> {
  await waitFor(`${tasks} tasks run`, () => worker.state === "RUNNING" && worker.queries.worker().tasks.length === tasks, { deadlineMs });
}

async function bothRun(...workers: readonly Worker[]): Promise<void> {
  await Promise.all(workers.map((worker) => runs(worker, PARTITIONS / workers.length)));
}
