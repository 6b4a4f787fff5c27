/** Requests against kafkajs's encoders where it has the same version, else against bytes put together by hand from the protocol guide. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fetchRequest } from "../../../eventlog/kafka/requests/fetch.ts";
import { findCoordinatorRequest } from "../../../eventlog/kafka/requests/find-coordinator.ts";
import { heartbeatRequest, joinGroupRequest, leaveGroupRequest, syncGroupRequest } from "../../../eventlog/kafka/requests/group.ts";
import { initProducerIdRequest } from "../../../eventlog/kafka/requests/init-producer-id.ts";
import { listTransactionsRequest } from "../../../eventlog/kafka/requests/list-transactions.ts";
import { offsetFetchRequest } from "../../../eventlog/kafka/requests/offset-fetch.ts";
import { produceRequest } from "../../../eventlog/kafka/requests/produce.ts";
import { addOffsetsToTxnRequest, addPartitionsToTxnRequest, endTxnRequest } from "../../../eventlog/kafka/requests/transaction.ts";
import { txnOffsetCommitRequest } from "../../../eventlog/kafka/requests/txn-offset-commit.ts";
import type { KafkaRequest } from "../../../eventlog/kafka/wire/request.ts";
import { WireReader } from "../../../eventlog/kafka/wire/wire-reader.ts";
import { WireWriter } from "../../../eventlog/kafka/wire/wire-writer.ts";

const require = createRequire(import.meta.url);

interface KafkaJsRequest {
  readonly apiKey: number;
  readonly apiVersion: number;
  encode(): Promise<{ readonly buffer: Buffer }>;
}

async function assertAsKafkaJs(ours: KafkaRequest<unknown>, path: string, options: object): Promise<void> {
  const theirs = (require(`kafkajs/src/protocol/requests/${path}/request`) as (options: object) => KafkaJsRequest)(options);
  assert.deepEqual([ours.apiKey, ours.apiVersion], [theirs.apiKey, theirs.apiVersion]);
  assert.deepEqual(encode(ours), (await theirs.encode()).buffer);
}

function encode(request: KafkaRequest<unknown>): Buffer {
  const writer = new WireWriter();
  request.encode(writer);
  return Buffer.concat(writer.finish());
}

function decode<Response>(request: KafkaRequest<Response>, write: (writer: WireWriter) => void): Response {
  const writer = new WireWriter();
  write(writer);
  return request.decode(new WireReader(Buffer.concat(writer.finish())));
}

const who = { transactionalId: "txn", producerId: 77, producerEpoch: 3 };
const txn = { transactionalId: "txn", producerId: 77, producerEpoch: 3 };

test("group requests are those of kafkajs, with the instance id", async () => {
  const identity = { groupId: "g", generationId: 4, memberId: "m", instanceId: "i" };
  const join = {
    groupId: "g",
    memberId: "m",
    sessionTimeoutMs: 10,
    rebalanceTimeoutMs: 20,
    protocolType: "consumer",
    metadata: Buffer.from("meta"),
  };
  await assertAsKafkaJs(joinGroupRequest({ ...join, instanceId: "i", protocolName: "p" }), "joinGroup/v5", {
    groupId: "g",
    sessionTimeout: 10,
    rebalanceTimeout: 20,
    memberId: "m",
    groupInstanceId: "i",
    protocolType: "consumer",
    groupProtocols: [{ name: "p", metadata: Buffer.from("meta") }],
  });
  await assertAsKafkaJs(syncGroupRequest(identity, new Map([["m", Buffer.from("a")]])), "syncGroup/v3", {
    groupId: "g",
    generationId: 4,
    memberId: "m",
    groupInstanceId: "i",
    groupAssignment: [{ memberId: "m", memberAssignment: Buffer.from("a") }],
  });
  await assertAsKafkaJs(heartbeatRequest(identity), "heartbeat/v3", {
    groupId: "g",
    groupGenerationId: 4,
    memberId: "m",
    groupInstanceId: "i",
  });
  await assertAsKafkaJs(leaveGroupRequest("g", "m"), "leaveGroup/v3", { groupId: "g", members: [{ memberId: "m" }] });
});

test("transaction requests are those of kafkajs", async () => {
  const topics = [{ topic: "t", partitions: [0, 2] }];
  const partitions = [0, 2].map((partition) => ({ topic: "t", partition }));
  await assertAsKafkaJs(addPartitionsToTxnRequest(who, partitions), "addPartitionsToTxn/v1", { ...txn, topics });
  await assertAsKafkaJs(addOffsetsToTxnRequest(who, "g"), "addOffsetsToTxn/v1", { ...txn, groupId: "g" });
  await assertAsKafkaJs(endTxnRequest(who, true), "endTxn/v1", { ...txn, transactionResult: true });
  await assertAsKafkaJs(findCoordinatorRequest("transaction", "txn"), "findCoordinator/v2", { coordinatorKey: "txn", coordinatorType: 1 });
});

test("fetch is that of kafkajs, and its answer's records are slices", async () => {
  const request = fetchRequest([{ topic: "t", partition: 1, offset: 9, maxBytes: 100 }], {
    maxWaitMs: 5,
    maxBytes: 1_000,
    readCommitted: true,
  });
  await assertAsKafkaJs(request, "fetch/v11", {
    replicaId: -1,
    maxWaitTime: 5,
    minBytes: 1,
    maxBytes: 1_000,
    isolationLevel: 1,
    sessionId: 0,
    sessionEpoch: -1,
    forgottenTopics: [],
    rackId: "",
    topics: [{ topic: "t", partitions: [{ partition: 1, currentLeaderEpoch: -1, fetchOffset: 9, logStartOffset: -1, maxBytes: 100 }] }],
  });
  const answer = decode(request, (writer) => {
    writer.int32(0).int16(0).int32(0).int32(1).string("t").int32(2);
    writer.int32(1).int16(0).int64(20).int64(15).int64(0).int32(1).int64(77).int64(11).int32(-1).bytes(Buffer.from("records"));
    writer.int32(2).int16(6).int64(-1).int64(-1).int64(-1).int32(-1).int32(-1).int32(-1); // an error: nulls
  });
  assert.deepEqual(answer.partitions[0], {
    topic: "t",
    partition: 1,
    errorCode: 0,
    highWatermark: 20,
    lastStableOffset: 15,
    aborted: [{ producerId: 77, firstOffset: 11 }],
    records: Buffer.from("records"),
  });
  assert.equal(answer.partitions[1].errorCode, 6);
  assert.equal(answer.partitions[1].records.length, 0);
});

test("produce carries one batch a partition with acks=all", () => {
  const batches = [
    { topic: "a", partition: 0, bytes: Buffer.from("one") },
    { topic: "b", partition: 1, bytes: Buffer.from("two") },
    { topic: "a", partition: 2, bytes: Buffer.from("three") },
  ];
  const request = produceRequest(batches, "txn", 30);
  const expected = new WireWriter().string("txn").int16(-1).int32(30).int32(2);
  expected.string("a").int32(2).int32(0).bytes(batches[0].bytes).int32(2).bytes(batches[2].bytes);
  expected.string("b").int32(1).int32(1).bytes(batches[1].bytes);
  assert.deepEqual(encode(request), Buffer.concat(expected.finish()));
  const answer = decode(request, (writer) => {
    writer.int32(1).string("a").int32(1).int32(2).int16(0).int64(55).int64(-1).int64(0).int32(0);
  });
  assert.deepEqual(answer, [{ topic: "a", partition: 2, errorCode: 0, baseOffset: 55 }]);
});

test("TxnOffsetCommit v3 carries generation, member and instance (KIP-447)", () => {
  const group = { groupId: "g", generationId: 5, memberId: "m", instanceId: "i" };
  const request = txnOffsetCommitRequest(who, group, [{ topic: "t", partition: 1, offset: 9, metadata: "x" }]);
  assert.ok(request.flexible);
  const expected = [
    ...[4, ..."txn"].map(code), // compact string: length + 1
    ...[2, ..."g"].map(code),
    ...[0, 0, 0, 0, 0, 0, 0, 77, 0, 3], // producer id, epoch
    ...[0, 0, 0, 5, ...[2, ..."m", 2, ..."i"].map(code)],
    ...[2, 2, code("t"), 2], // one topic, its name, one partition
    ...[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 255, 255, 255, 255, 2, code("x"), 0],
    ...[0, 0], // tags of the topic and of the request
  ];
  assert.deepEqual([...encode(request)], expected);
  const dynamic = txnOffsetCommitRequest(who, { groupId: "g", generationId: 5, memberId: "m" }, []);
  assert.deepEqual([...encode(dynamic)].slice(-3), [0, 1, 0]); // no instance, no topics, no tags
  const answer = decode(request, (writer) =>
    writer.int32(0).uvarint(2).compactString("t").uvarint(2).int32(1).int16(22).noTags().noTags().noTags(),
  );
  assert.deepEqual(answer, [{ topic: "t", partition: 1, errorCode: 22 }]);
});

test("OffsetFetch v7 asks for stable offsets", () => {
  const request = offsetFetchRequest("g", [{ topic: "t", partition: 1 }], true);
  assert.deepEqual([...encode(request)], [2, code("g"), 2, 2, code("t"), 2, 0, 0, 0, 1, 0, 1, 0]);
  const answer = decode(request, (writer) => {
    writer.int32(0).uvarint(2).compactString("t").uvarint(2);
    writer.int32(1).int64(-1).int32(-1).compactNullableString(null).int16(88).noTags().noTags().int16(0).noTags();
  });
  assert.deepEqual(answer, { errorCode: 0, partitions: [{ topic: "t", partition: 1, offset: -1, metadata: "", errorCode: 88 }] });
});

test("InitProducerId names the producer whose epoch it bumps (KIP-360)", () => {
  const fresh = [4, ...[..."txn"].map(code), 0, 0, 0, 9];
  assert.deepEqual([...encode(initProducerIdRequest("txn", 9))], [...fresh, ...Array.from({ length: 10 }, () => 255), 0]);
  assert.deepEqual([...encode(initProducerIdRequest("txn", 9, who))], [...fresh, 0, 0, 0, 0, 0, 0, 0, 77, 0, 3, 0]);
});

test("ListTransactions reads ids and states", () => {
  const request = listTransactionsRequest(["Ongoing"]);
  const answer = decode(request, (writer) => {
    writer.int32(0).int16(0).uvarint(1).uvarint(2).compactString("txn").int64(7).compactString("Ongoing").noTags().noTags();
  });
  assert.deepEqual(answer.transactions, [{ transactionalId: "txn", producerId: 7, state: "Ongoing" }]);
});

function code(text: string | number): number {
  return typeof text === "number" ? text : text.charCodeAt(0);
}
