import assert from "node:assert/strict";
import { test } from "node:test";
import { LogError } from "../../../eventlog/errors.ts";
import { Sequences } from "../../../eventlog/kafka/writer/sequences.ts";
import { Tally } from "../../../eventlog/kafka/writer/tally.ts";
import { TxnStateMachine } from "../../../eventlog/kafka/writer/txn-state.ts";

test("sequences count records by partition and wrap to 0 behind 2^31-1", () => {
  const sequences = new Sequences();
  assert.equal(sequences.get("t", 3), 0);
  sequences.advance("t", 3, 10);
  sequences.advance("t", 1, 1);
  assert.deepEqual([sequences.get("t", 3), sequences.get("t", 1), sequences.get("u", 3)], [10, 1, 0]);
  sequences.advance("t", 3, 2 ** 31 - 1 - 10);
  assert.equal(sequences.get("t", 3), 2 ** 31 - 1);
  sequences.advance("t", 3, 1);
  assert.equal(sequences.get("t", 3), 0);
  sequences.reset();
  assert.equal(sequences.get("t", 1), 0);
});

test("a call in the wrong state gets the error that says what to do", () => {
  const states = new TxnStateMachine("x");
  assert.throws(() => states.require("begin", "ready"), { code: "invalid-state" });
  states.to("ready");
  states.to("open");
  states.to("failed");
  assert.throws(() => states.require("commit", "open"), { code: "transaction-aborted" });
  states.to("unknown");
  assert.throws(() => states.require("begin", "ready"), { code: "unknown-outcome" });
  states.to("fenced");
  assert.throws(() => states.require("begin", "ready"), { code: "fenced" });
  assert.throws(() => states.to("open"), { code: "invalid-state" });
  states.to("closed");
  assert.throws(() => states.require("begin", "ready"), { code: "closed" });
});

test("a call after a failure names what failed first", () => {
  const states = new TxnStateMachine("x");
  states.to("ready");
  states.to("open");
  const root = new LogError("unauthorized", "no right to write");
  states.to("failed", root);
  states.to("failed", new Error("a consequence"));
  assert.throws(() => states.require("begin", "ready"), {
    code: "transaction-aborted",
    message: "begin() of transactional writer x while it is failed: no right to write",
    cause: root,
  });
  states.to("ready");
  assert.throws(() => states.require("commit", "open"), { message: "commit() of transactional writer x while it is ready" });
});

test("a tally is done with the last record and gives each partition's range", async () => {
  const tally = new Tally(5);
  tally.batchDone(2, 10, "t", 0, undefined);
  tally.batchDone(1, 7, "t", 1, undefined);
  tally.batchDone(2, 12, "t", 0, undefined);
  assert.deepEqual(await tally.done, [
    { topic: "t", partition: 0, baseOffset: 10, nextOffset: 14 },
    { topic: "t", partition: 1, baseOffset: 7, nextOffset: 8 },
  ]);
  assert.deepEqual(await new Tally(0).done, []);
});

test("a tally with an error rejects with the first one, after all records are settled", async () => {
  const tally = new Tally(2);
  let settled = false;
  const done = assert.rejects(tally.done, { message: "first" }).then(() => (settled = true));
  tally.batchDone(1, -1, "t", 0, new Error("first"));
  await Promise.resolve();
  assert.equal(settled, false);
  tally.batchDone(1, -1, "t", 0, new Error("second"));
  await done;
});
