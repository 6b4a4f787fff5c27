/** What a worker says of its tasks when it joins its group. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { EventLog } from "../../../eventlog/port.ts";
import { decodeSubscription, type WorkerSubscription } from "../../../runtime/group-protocol.ts";
import type { Worker } from "../../../runtime/worker.ts";
import { createEngine } from "../../../state/engines/create-engine.ts";
import { HeldChangelogs } from "../../support/held-changelogs.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";
import { wrappedLog } from "../../support/wrapped-log.ts";
import { assertExact, PARTITIONS, setUp, type Setup } from "./support/counting-worker.ts";

const KEYS = 20;
const ROUNDS = 10;
const TASKS = ["0_0", "0_1", "0_2", "0_3"];

/** A log that remembers what was said at each join. */
function listening(inner: EventLog): { log: EventLog; said: WorkerSubscription[] } {
  const said: WorkerSubscription[] = [];
  const group: EventLog["group"] = (options) =>
    inner.group({
      ...options,
      userData: () => {
        const userData = options.userData();
        said.push(decodeSubscription(userData, ""));
        return userData;
      },
    });
  return { log: wrappedLog(inner, { group }), said };
}

/** A disk whose rows are behind the changelogs: another worker has gone on since. */
async function diskThatIsBehind(t: TestContext, setup: Setup): Promise<string> {
  const dir = tempDir(t, "disk");
  for (const disk of [dir, tempDir(t, "other-disk")]) {
    const worker = onDisk(setup, disk, setup.log);
    await worker.start();
    await setup.feed(KEYS, ROUNDS);
    await waitUntilDrained(setup.log, setup.applicationId, setup.source);
    await worker.stop();
  }
  return dir;
}

function onDisk(setup: Setup, dir: string, log: EventLog): Worker {
  const processing = { guarantee: "exactly-once" as const, commitIntervalMs: 10, acceptableRecoveryLag: 5 };
  return setup.worker({ log, processing, state: { dir, engine: "level", cacheMiB: 4 } });
}

for (const [phase, isOpen] of [
  ["not open yet", false],
  ["being restored", true],
] as const)
  test(`tasks that are ${phase} are said to be as far as their disk, no less and no more, and stay where it is (KAFKA-10651)`, async (t) => {
    const setup = await setUp(t);
    const dir = await diskThatIsBehind(t, setup);
    const held = new HeldChangelogs(setup.log);
    held.allow(0);
    const locks = TASKS.map((taskId) => createEngine("level", join(dir, setup.applicationId, taskId)));
    if (!isOpen) for (const lock of locks) await lock.open();
    const { log, said } = listening(held.log);
    const first = onDisk(setup, dir, log);
    await first.start();
    if (isOpen) await waitFor("all are being restored", () => first.queries.worker().tasks.length === PARTITIONS);
    // Held too: a warm-up that is over between two looks would not be seen, and its task would move.
    const second = onDisk(setup, tempDir(t, "empty-disk"), held.log);
    await second.start();
    await waitFor("it warms up", () => second.queries.worker().standbys.some(({ warmup }) => warmup));

    const [atStart] = said;
    const later = said.filter(({ owned }) => owned.length > 0);
    assert.deepEqual(Object.keys(atStart.positions).sort(), TASKS);
    assert.ok(Object.values(atStart.positions).every((position) => position > 0));
    assert.ok(later.length > 0);
    for (const { owned, running, positions } of later) {
      assert.deepEqual(owned.toSorted(), TASKS, "nothing has moved");
      assert.deepEqual(running, []);
      assert.deepEqual(positions, atStart.positions);
    }
    for (const lock of locks) await lock.close();
    held.allow(Infinity);
    await setup.feed(KEYS, ROUNDS);
    await waitUntilDrained(setup.log, setup.applicationId, setup.source);
    await assertExact(setup, KEYS, 3 * ROUNDS);
  });
