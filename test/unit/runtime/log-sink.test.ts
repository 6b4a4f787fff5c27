import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LogError } from "../../../eventlog/errors.ts";
import type { GroupMember, GroupMetadata, TopicPartition, TxnWriter } from "../../../eventlog/port.ts";
import { RecordSet } from "../../../eventlog/records/record-set.ts";
import { ExactlyOnceSink } from "../../../runtime/log-sink.ts";

const OFFSETS = [{ topic: "in", partition: 0, offset: 7 }];

/** A writer that refuses offsets of another generation than `taken`, and a group whose next generation comes when it is waited for. */
function setUp(taken: number, renewed: () => void) {
  const calls: string[] = [];
  let generationId = 1;
  const writer = {
    transactionalId: "t",
    open: () => Promise.resolve(calls.push("open")),
    begin: () => calls.push("begin"),
    announce: (partitions: readonly TopicPartition[], groupId: string) =>
      calls.push(`announce ${partitions.map(({ topic, partition }) => `${topic}/${partition}`).join()} ${groupId}`),
    abort: async () => {
      calls.push("abort");
      await nextTurn();
      calls.push("aborted");
    },
    sendOffsets: (_: unknown, group: GroupMetadata) => {
      calls.push(`offsets of generation ${group.generationId}`);
      return group.generationId === taken ? Promise.resolve() : Promise.reject(new LogError("stale-generation", "refused"));
    },
    commit: () => Promise.resolve(calls.push("commit")),
  } as unknown as TxnWriter;
  const group = {
    metadata: () => ({ groupId: "g", memberId: "m", generationId }),
    renewed: async () => {
      renewed();
      generationId++;
      return Promise.resolve();
    },
  } as unknown as GroupMember;
  const sink = new ExactlyOnceSink(writer, "app");
  return { calls, sink, commit: () => sink.commit(new RecordSet(1_000), OFFSETS, group) };
}

const COMMIT = ["offsets of generation 1", "commit"];
const NEXT = [{ topic: "out", partition: 3 }];

test("a commit goes on in the transaction that was begun for its announcement", async () => {
  const { calls, sink, commit } = setUp(1, () => undefined);
  await commit();
  sink.announce(NEXT);
  await commit();
  await commit();
  assert.deepEqual(calls, ["begin", ...COMMIT, "begin", "announce out/3 app", ...COMMIT, "begin", ...COMMIT]);
});

test("what was announced and is not to come is aborted, and nothing begins or opens before that is over", async () => {
  const { calls, sink, commit } = setUp(1, () => undefined);
  sink.announce(NEXT);
  sink.discard();
  await commit();
  sink.announce(NEXT);
  sink.discard();
  await sink.open();
  sink.discard();
  sink.announce(NEXT);
  await sink.open();
  await commit();
  const discarded = ["begin", "announce out/3 app", "abort", "aborted"];
  const opened = ["begin", "announce out/3 app", "open"];
  assert.deepEqual(calls, [...discarded, "begin", ...COMMIT, ...discarded, "open", ...opened, "begin", ...COMMIT]);
});

test("a commit that a rebalance overtakes goes on in the same transaction, with the stamp of the next generation", async () => {
  const { calls, commit } = setUp(2, () => undefined);
  await commit();
  assert.deepEqual(calls, ["begin", "offsets of generation 1", "offsets of generation 2", "commit"]);
});

test("a commit whose membership is lost fails, and is not committed", async () => {
  const { calls, commit } = setUp(2, () => {
    throw new LogError("stale-generation", "lost");
  });
  await assert.rejects(commit(), { code: "stale-generation" });
  assert.deepEqual(calls, ["begin", "offsets of generation 1"]);
});

test("a commit fails of what failed first, whichever of its two halves that was", async () => {
  const root = new LogError("unauthorized", "no right to write");
  const late = Promise.withResolvers<never>();
  const writer = {
    begin: () => undefined,
    write: () => Promise.reject(root),
    sendOffsets: () => late.promise,
  } as unknown as TxnWriter;
  const group = { metadata: () => ({ groupId: "g", memberId: "m", generationId: 1 }) } as unknown as GroupMember;
  const records = new RecordSet(1_000);
  records.partition("out", 0).append(0, null, 0, 0, null, 0, 0);
  const committed = assert.rejects(new ExactlyOnceSink(writer, "app").commit(records, OFFSETS, group), root);
  setImmediate(() => late.reject(new LogError("transaction-aborted", "sendOffsets() while it is failed")));
  await committed;
});
