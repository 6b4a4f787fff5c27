import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import type { LogErrorAction, LogErrorCode } from "../../../eventlog/errors.ts";
import { errorName, isCoordinatorMove, isTransient, protocolError } from "../../../eventlog/kafka/protocol-errors.ts";

const meanings: [kafkaCode: number, code: LogErrorCode, action: LogErrorAction][] = [
  [1, "offset-out-of-range", "fatal"],
  [3, "unknown-topic", "fatal"],
  [6, "unavailable", "retriable"],
  [10, "record-too-large", "fatal"],
  [16, "unavailable", "retriable"],
  [22, "stale-generation", "fenced"],
  [25, "stale-generation", "fenced"],
  [29, "unauthorized", "fatal"],
  [45, "transaction-aborted", "abortable"],
  [47, "fenced", "fenced"],
  [48, "transaction-aborted", "abortable"],
  [49, "fenced", "fenced"],
  [53, "unauthorized", "fatal"],
  [82, "stale-generation", "fenced"],
  [88, "unstable-offsets", "retriable"],
  [90, "fenced", "fenced"],
  [9_999, "invalid-state", "fatal"],
];

for (const [kafkaCode, code, action] of meanings) {
  test(`Kafka's ${errorName(kafkaCode)} is ${code}, ${action}`, () => {
    const error = protocolError(kafkaCode, "Test of t/1", [{ topic: "t", partition: 1 }]);
    assert.deepEqual([error.code, error.action, error.partitions], [code, action, [{ topic: "t", partition: 1 }]]);
    assert.match(error.message, /^Test of t\/1: /);
  });
}

test("only what passes by itself is retried", () => {
  for (const kafkaCode of [5, 6, 7, 13, 14, 15, 16, 19, 20, 51, 56, 74, 75]) assert.ok(isTransient(kafkaCode), errorName(kafkaCode));
  for (const kafkaCode of [0, 1, 3, 10, 22, 25, 29, 45, 47, 82, 88, 90]) assert.ok(!isTransient(kafkaCode), errorName(kafkaCode));
  assert.deepEqual([13, 14, 15, 16, 17].map(isCoordinatorMove), [false, true, true, true, false]);
});

test("names agree with kafkajs's table", () => {
  const require = createRequire(import.meta.url);
  const { errorCodes } = require("kafkajs/src/protocol/error") as { errorCodes: { code: number; type: string }[] };
  // Renamed by Kafka since, or numbered differently in kafkajs.
  const renamed = new Map([
    ["UNKNOWN", "UNKNOWN_SERVER_ERROR"],
    ["NOT_LEADER_FOR_PARTITION", "NOT_LEADER_OR_FOLLOWER"],
  ]);
  for (const { code, type } of errorCodes) {
    const name = errorName(code);
    if (name.startsWith("error ")) continue;
    const theirs = (renamed.get(type) ?? type).replace("GROUP_COORDINATOR_NOT_AVAILABLE", "COORDINATOR_NOT_AVAILABLE");
    const same = [
      theirs,
      theirs.replace("GROUP_LOAD", "COORDINATOR_LOAD"),
      theirs.replace("_FOR_GROUP", "").replace("NOT_COORDINATOR_FOR", "NOT_COORDINATOR"),
    ];
    if (!same.includes(name)) assert.fail(`${code}: ours ${name}, kafkajs ${type}`);
  }
});
