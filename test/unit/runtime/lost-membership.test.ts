import assert from "node:assert/strict";
import { test } from "node:test";
import type { GroupListener, GroupMember } from "../../../eventlog/port.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { waitFor } from "../../support/wait-for.ts";
import { wrappedLog } from "../../support/wrapped-log.ts";
import { assertExact, metricOf, setUp } from "./support/counting-worker.ts";

const KEYS = 8;

test("a membership lost while a commit is on its way: what was processed since, and what was announced of it, comes once all the same", async (t) => {
  const setup = await setUp(t);
  let listener!: GroupListener;
  let assignment!: Buffer;
  let group!: GroupMember;
  let gate: Promise<void> | undefined;
  let held = 0;
  let announced = 0;
  let aborted = 0;
  const log = wrappedLog(setup.log, {
    group: (options) => {
      listener = options.listener;
      const onAssigned: GroupListener["onAssigned"] = (given, metadata) => {
        assignment = given;
        return listener.onAssigned(given, metadata);
      };
      return (group = setup.log.group({
        ...options,
        listener: { onAssigned, onLost: (error) => listener.onLost(error), onFatal: (error) => listener.onFatal(error) },
      }));
    },
    txnWriter: (options) => {
      const writer = setup.log.txnWriter(options);
      const [announce, commit, abort] = [writer.announce.bind(writer), writer.commit.bind(writer), writer.abort.bind(writer)];
      return Object.assign(writer, {
        announce: (...args: Parameters<typeof announce>) => {
          announced++;
          announce(...args);
        },
        commit: async () => {
          if (gate !== undefined) held++;
          await gate;
          await commit();
        },
        abort: () => {
          aborted++;
          return abort();
        },
      });
    },
  });
  const worker = setup.worker({ log });
  await worker.start();
  await setup.feed(KEYS, 1);
  await waitUntilDrained(setup.log, setup.applicationId, setup.source);
  const released = Promise.withResolvers<void>();
  gate = released.promise;
  await setup.feed(KEYS, 1);
  await waitFor("a commit is on its way", () => held === 1);
  await setup.feed(KEYS, 1);
  await waitFor("more has come", async () => (await metricOf(worker, "sluice_polled_records_total")) === 3 * KEYS);
  const announcedBefore = announced;
  const lost = listener.onLost(new Error("injected"));
  gate = undefined;
  released.resolve();
  await lost;
  assert.deepEqual([announced - announcedBefore, aborted], [1, 1]);
  await listener.onAssigned(assignment, group.metadata());
  await waitUntilDrained(setup.log, setup.applicationId, setup.source);
  await worker.stop();
  await assertExact(setup, KEYS, 3);
});
