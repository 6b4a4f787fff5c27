/** Rows that a dead worker wrote and did not commit are nowhere: run over each log whose isolation they must hold for. */
import { test, type TestContext } from "node:test";
import type { EventLog } from "../../eventlog/port.ts";
import type { StandbyInfo } from "../../runtime/queries.ts";
import type { Worker } from "../../runtime/worker.ts";
import { MortalLog } from "../support/mortal-log.ts";
import { waitUntilDrained } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertExact, PARTITIONS, setUp } from "../unit/runtime/support/counting-worker.ts";

const KEYS = 20;
const ROUNDS = 10;
const PROCESSING = { guarantee: "exactly-once", commitIntervalMs: 10, standbyReplicas: 1 } as const;
/** Above the session time-out of a worker that is gone without a word. */
const WITHIN = { deadlineMs: 20_000 };

/** @param makeLog of a log that the test closes. */
export function uncommittedRowsContract(name: string, makeLog: (t: TestContext) => Promise<EventLog>): void {
  test(`${name}: a crash between the state's write and its commit leaves nothing in a standby, nor on the old owner's disk (KAFKA-9891)`, async (t) => {
    const setup = await setUp(t, { own: { log: await makeLog(t), prefix: `${uniqueName("uncommitted")}-` } });
    const mortal = new MortalLog(setup.log);
    const dirs = [tempDir(t, "first-disk"), tempDir(t, "second-disk")];
    const start = async (dir: string, log = setup.log): Promise<Worker> => {
      const worker = setup.worker({ log, processing: PROCESSING, state: { dir, engine: "level", cacheMiB: 4 } });
      await worker.start();
      return worker;
    };
    const drained = (): Promise<void> => waitUntilDrained(setup.log, setup.applicationId, setup.source);
    const first = await start(dirs[0], mortal.log);
    const second = await start(dirs[1]);
    await halfEach(first, second);
    await setup.feed(KEYS, ROUNDS);
    await drained();
    await copiedSince(performance.now(), second);

    mortal.killInCommit();
    await setup.feed(KEYS, ROUNDS);
    await waitFor("it dies with rows in the changelog that are not committed", () => mortal.dead);
    await copiedSince(performance.now(), second);
    await first.stop();
    await drained();
    await assertExact(setup, KEYS, 2 * ROUNDS);

    const again = await start(dirs[0]);
    await halfEach(again, second);
    await copiedSince(performance.now(), again);
    await second.stop();
    await runs(again, PARTITIONS);
    await setup.feed(KEYS, ROUNDS);
    await drained();
    await assertExact(setup, KEYS, 3 * ROUNDS);
  });
}

async function runs(worker: Worker, tasks: number): Promise<void> {
  const isSo = (): boolean => worker.state === "RUNNING" && worker.queries.worker().tasks.length === tasks;
  await waitFor(`${tasks} tasks run`, isSo, WITHIN);
}

async function halfEach(...workers: readonly Worker[]): Promise<void> {
  await Promise.all(workers.map((worker) => runs(worker, PARTITIONS / 2)));
}

/** Its copies of the other half have all that was committed by then. */
async function copiedSince(then: number, worker: Worker): Promise<void> {
  const isSo = ({ stalenessMs }: StandbyInfo): boolean => stalenessMs !== null && stalenessMs < performance.now() - then;
  await waitFor(
    "the copies have what is committed",
    () => {
      const { standbys } = worker.queries.worker();
      return standbys.length === PARTITIONS / 2 && standbys.every(isSo);
    },
    WITHIN,
  );
}
