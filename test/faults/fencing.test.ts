/** Kafka's EosIntegrationTest "fencing", as whole processes: a worker that stood still past its session is a zombie when it wakes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults } from "./job-under-faults.ts";

const skip = await need("kafka", "kcat");
const EVENTS = 8_000;
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);

for (const [members, staticMembers] of [
  ["static", true],
  ["dynamic", false],
] as const) {
  test(
    `SIGSTOP under load past the session time-out, take-over, SIGCONT: not one zombie record, and it works again (${members} members, seed ${seed})`,
    { skip, timeout: 120_000 },
    async (t) => {
      const job = await JobUnderFaults.create(t, { kafka: await sharedKafka(), partitions: 4, seed, events: 5 * EVENTS, staticMembers });
      const { fleet } = job;
      await fleet.start("w1", "w2");
      await fleet.untilAllWork();
      for (const victim of ["w1", "w2"]) {
        await job.write(EVENTS);
        await job.untilCommitted(job.written - EVENTS + 1, 1);
        const zombie = fleet.get(victim);
        const saidBefore = zombie.stderr().length;
        zombie.freeze();
        await job.write(EVENTS);
        await job.drained(); // by the other alone: the session is over, and the tasks are taken over
        zombie.thaw();
        const said = (): string => zombie.stderr().slice(saidBefore);
        await waitFor(
          "the zombie knows, and has tasks again",
          () => /lost the group membership|commit failed: recovering/.test(said()) && said().includes('"task restored"'),
          { deadlineMs: 30_000 },
        );
      }
      await job.write(EVENTS);
      await job.drained();
      await fleet.stopAll();
      assert.equal(fleet.rebuilds, 0, "no worker threw its state away");
      assertExact(t, await job.differences());
    },
  );
}
