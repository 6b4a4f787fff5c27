import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { pino } from "pino";
import { LogError } from "../../../eventlog/errors.ts";
import { BrokerLink } from "../../../eventlog/kafka/connection/broker-link.ts";
import { connectionSettings, parseAddress } from "../../../eventlog/kafka/connection/options.ts";
import { retrying } from "../../../eventlog/kafka/connection/retry.ts";
import {
  assignmentUserData,
  encodeAssignment,
  encodeSubscription,
  subscriptionUserData,
} from "../../../eventlog/kafka/group/consumer-protocol.ts";
import { KafkaLog } from "../../../eventlog/kafka/kafka-log.ts";
import { waitFor } from "../../support/wait-for.ts";

const logger = pino({ level: "silent" });

test("broker addresses are host:port", () => {
  assert.deepEqual(parseAddress("kafka-1:9092"), { host: "kafka-1", port: 9092 });
  assert.deepEqual(parseAddress("[::1]:9092"), { host: "::1", port: 9092 });
  for (const wrong of ["kafka", "kafka:", ":9092", "kafka:99999", "::1:9092", ""])
    assert.throws(() => parseAddress(wrong), RangeError, wrong);
});

test("only passing errors are retried, and not for ever", async () => {
  let calls = 0;
  const result = await retrying({ withinMs: 1_000, firstDelayMs: 1 }, () =>
    ++calls < 3 ? Promise.reject(new LogError("unavailable", "no")) : Promise.resolve("yes"),
  );
  assert.deepEqual([result, calls], ["yes", 3]);
  await assert.rejects(
    retrying({ withinMs: 1_000 }, () => Promise.reject(new LogError("fenced", "gone"))),
    { code: "fenced" },
  );
  await assert.rejects(
    retrying({ withinMs: 20, firstDelayMs: 1 }, () => Promise.reject(new LogError("timed-out", "slow"))),
    { code: "timed-out" },
  );
  await assert.rejects(
    retrying({ withinMs: 1_000, stopped: () => true }, () => Promise.resolve(1)),
    { code: "closed" },
  );
});

test("user data goes through the group protocol untouched", () => {
  const data = Buffer.from([0, 255, 1, 2]);
  assert.deepEqual(subscriptionUserData(encodeSubscription(["a", "b"], data, 0)), data);
  assert.deepEqual(assignmentUserData(encodeAssignment(data)), data);
  assert.equal(assignmentUserData(Buffer.alloc(0)).length, 0);
  assert.notDeepEqual(encodeSubscription([], data, 0), encodeSubscription([], data, 1));
});

test("whoever answers with what is no answer of Kafka's is no broker: the connection is given up at once, and nothing is waited for", async (t) => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")); // a length of 1.2 GB
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const settings = connectionSettings({ brokers: [], clientId: "test", logger, connectionTimeoutMs: 60_000 });
  const opened = BrokerLink.open({ host: "127.0.0.1", port }, settings);
  await assert.rejects(opened, ({ code, message }: LogError) => code === "unavailable" && /does not answer as Kafka does/.test(message));
});

test("a broker that accepts connections and never answers is given up after the time-outs, and close() leaves nothing behind", async (t) => {
  const server = createServer((socket) => socket.on("error", () => undefined).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const log = new KafkaLog({ brokers: [`127.0.0.1:${port}`], clientId: "test", logger, connectionTimeoutMs: 100, requestTimeoutMs: 100 });
  const reader = log.reader({ isolation: "read_committed" });
  reader.assign([{ topic: "t", partition: 0, offset: 0 }]);
  assert.deepEqual(await reader.poll(300), []);
  await reader.close();
  await log.close();
  const connections = (): Promise<number> => new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
  await waitFor("all connections are gone", async () => (await connections()) === 0, { deadlineMs: 2_000 });
});

test("closing a reader ends its pending poll, and polling after that is an error", async () => {
  const log = new KafkaLog({ brokers: ["127.0.0.1:1"], clientId: "test", logger });
  const reader = log.reader({ isolation: "read_committed" });
  const poll = reader.poll(60_000);
  await assert.rejects(reader.poll(0), { code: "invalid-state" });
  await reader.close();
  assert.deepEqual(await poll, []);
  await assert.rejects(reader.poll(0), { code: "closed" });
  await log.close();
});
