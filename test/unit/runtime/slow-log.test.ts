/** A log that takes its time to answer: what that may cost. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";
import type { EventLog } from "../../../eventlog/port.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { waitFor } from "../../support/wait-for.ts";
import { wrappedLog } from "../../support/wrapped-log.ts";
import { assertExact, setUp } from "./support/counting-worker.ts";

const KEYS = 2_000;
const ROUNDS = 60;
const MESSAGES = KEYS * ROUNDS;
/** A round trip to a cluster that replicates over zones. */
const ANSWER_MS = 20;
/** Far below the 40 minutes that a round trip for each message takes, far above what a busy machine needs. */
const WITHIN_MS = 45_000;

test("120,000 messages cost few round trips: through the job, and back out of the changelog (goka #347)", async (t) => {
  const setup = await setUp(t);
  const slow = slowToAnswer(setup.log);
  await setup.feed(KEYS, ROUNDS);
  const first = setup.worker({ log: slow.log });
  await first.start();
  await waitUntilDrained(setup.log, setup.applicationId, setup.source, WITHIN_MS);
  assert.ok(slow.answers < MESSAGES / 100, `${slow.answers} answers were waited for`);
  await first.stop();
  await assertExact(setup, KEYS, ROUNDS);
  rmSync(join(setup.stateDir, setup.applicationId), { recursive: true });
  const second = setup.worker({ log: slow.log });
  await second.start();
  await waitFor("it is restored", () => second.state === "RUNNING", { deadlineMs: WITHIN_MS });
});

function slowToAnswer(inner: EventLog): { readonly log: EventLog; readonly answers: number } {
  let answers = 0;
  const slowly = async <T>(answer: Promise<T>): Promise<T> => {
    answers++;
    await delay(ANSWER_MS);
    return answer;
  };
  const log = wrappedLog(inner, {
    txnWriter: (options) => {
      const writer = inner.txnWriter(options);
      return {
        transactionalId: writer.transactionalId,
        open: () => slowly(writer.open()),
        begin: () => writer.begin(),
        announce: (partitions, groupId) => writer.announce(partitions, groupId),
        write: (records) => slowly(writer.write(records)),
        sendOffsets: (offsets, group) => slowly(writer.sendOffsets(offsets, group)),
        commit: () => slowly(writer.commit()),
        abort: () => slowly(writer.abort()),
        close: () => writer.close(),
      };
    },
  });
  return {
    log,
    get answers() {
      return answers;
    },
  };
}
