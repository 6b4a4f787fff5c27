/** A log that takes no commits: attempts to recover come less and less often, and not for ever. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { Outage } from "../../../runtime/outage.ts";
import { Worker } from "../../../runtime/worker.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { countingTopology } from "../../support/counting-topology.ts";
import { FaultyLog } from "../../support/faulty-log.ts";
import { readTopic, waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";

test("the first attempt comes at once, the next ones twice as late each time up to a bound, and none at the same moment", () => {
  const most = [0, 1, 2, 3, 4, 5, 6, 7, 1_000].map((attempt) => Outage.waitMs(attempt, 0));
  assert.deepEqual(most, [0, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
  assert.equal(Outage.waitMs(6, 0.5), 3_750);
});

test("only time in recovery counts, and a commit that goes through ends it", async () => {
  const outage = new Outage(1_000_000);
  await outage.wait(new AbortController().signal);
  outage.recovered();
  const [ms, at] = [outage.ms, performance.now()];
  await waitFor("time has passed", () => performance.now() - at > 5, { intervalMs: 5 });
  assert.equal(outage.ms, ms, "nothing to commit is no outage");
  outage.over();
  assert.equal(outage.ms, 0);
});

for (const guarantee of ["exactly-once", "at-least-once"] as const) {
  test(`a log that stays away fails the worker in the end, and one that comes back in time loses nothing (${guarantee})`, async (t) => {
    const embedded = await EmbeddedLog.open({ dir: tempDir(t, "outage-log") });
    const faults = new FaultyLog(embedded);
    await embedded.admin.createTopics(["in", "out"].map((name) => ({ name, partitions: 1, config: {} })));
    const start = async (recoveryTimeoutMs: number): Promise<Worker> => {
      const worker = new Worker({
        applicationId: "app",
        topology: countingTopology(),
        log: faults.log,
        state: { dir: tempDir(t, "outage-state"), engine: "memory", cacheMiB: 4 },
        processing: { guarantee, commitIntervalMs: 10, recoveryTimeoutMs },
        sessionTimeoutMs: 5_000,
        logger: pino({ level: "silent" }),
      });
      t.after(() => worker.stop());
      await worker.start();
      return worker;
    };
    t.after(() => embedded.close());
    const feed = (): Promise<unknown> => write(embedded, recordSet("in", [{ key: "k", value: "x" }]));
    const recoveries = async (worker: Worker): Promise<number> =>
      Number(/sluice_recoveries_total\{\S+\} (\d+)/.exec(await worker.registry.metrics())?.[1] ?? 0);

    const first = await start(60_000);
    faults.away = "unavailable";
    await feed();
    await waitFor("some attempts have failed", async () => (await recoveries(first)) >= 3);
    faults.away = undefined;
    await waitUntilDrained(embedded, "app", "in");
    await first.stop();

    const second = await start(500);
    faults.away = "unavailable";
    await feed();
    await assert.rejects(second.finished, { code: "recovery-timeout", message: /no commit has gone through for \d+ s: .*the log is away/ });
    assert.equal(second.state, "ERROR");
    await second.stop();
    faults.away = undefined;
    const third = await start(60_000);
    await waitUntilDrained(embedded, "app", "in");
    await third.stop();
    assert.deepEqual(
      (await readTopic(embedded, "out")).map(({ value }) => String(value)),
      ["1", "2"],
    );
  });
}
