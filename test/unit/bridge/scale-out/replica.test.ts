import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { Registry } from "prom-client";
import { FreezeWatch } from "../../../../bridge/scale-out/freeze-watch.ts";
import { IngressReplica } from "../../../../bridge/scale-out/replica.ts";
import { EmbeddedLog } from "../../../../eventlog/embedded/embedded-log.ts";
import { LogError } from "../../../../eventlog/errors.ts";
import type { GroupMember, Trouble } from "../../../../eventlog/port.ts";
import { tempDir } from "../../../support/temp-dir.ts";
import { waitFor } from "../../../support/wait-for.ts";
import { wrappedLog } from "../../../support/wrapped-log.ts";
import { ScriptedBroker, type ScriptedConnection } from "../scripted-broker.ts";

const SESSION_TAKEN_OVER = 0x8e;

interface Rig {
  readonly broker: ScriptedBroker;
  readonly replica: IngressReplica;
  readonly connection: ScriptedConnection;
  /** What the group's heartbeats run into. */
  trouble: Trouble | undefined;
}

/** A replica with the one slot of its group, connected. */
async function connected(t: TestContext, takenOverPauseMs?: number): Promise<Rig> {
  const broker = await ScriptedBroker.start(t, 5);
  const inner = await EmbeddedLog.open({ dir: tempDir(t, "replica") });
  t.after(() => inner.close());
  await inner.admin.createTopics(["raw", "dlq"].map((name) => ({ name, partitions: 1, config: {} })));
  const rig: { trouble: Trouble | undefined } = { trouble: undefined };
  const log = wrappedLog(inner, {
    group: (options): GroupMember => Object.defineProperty(inner.group(options), "trouble", { get: () => rig.trouble }),
  });
  const replica = new IngressReplica({
    mqtt: {
      url: broker.url,
      clientId: "ingress",
      topics: ["t/+/d/+/telemetry"],
      qos: 1,
      reconnectMinMs: 5,
      reconnectMaxMs: 10,
      stopTimeoutMs: 500,
    },
    log,
    topics: { raw: "raw", dlq: "dlq" },
    validation: { maxValueBytes: 100_000 },
    ingressId: "replica",
    logger: pino({ level: process.env.SLUICE_TEST_LOG ?? "silent" }),
    registry: new Registry(),
    scaleOut: { mode: "hash", slots: 1 },
    group: { groupId: "ingress", sessionTimeoutMs: 10_000 },
    takenOverPauseMs,
  });
  t.after(() => replica.stop());
  const started = replica.start();
  const connection = await broker.connection(0);
  connection.send(connection.connack(false));
  await started;
  return Object.assign(rig, { broker, replica, connection });
}

test("a session that the broker says is another's now is given up, and asked for again after a pause", async (t) => {
  const { broker, replica, connection } = await connected(t, 50);
  connection.send({ cmd: "disconnect", reasonCode: SESSION_TAKEN_OVER });
  connection.socket.end();
  await waitFor("the slot is given up", () => replica.stats().slotsLost === 1);
  const second = await broker.connection(1);
  second.send(second.connack(true));
  await waitFor("the slot is there again", () => replica.stats().connected && replica.stats().slots === 1);
});

test("a connection lost while the group cannot be reached is not opened again: another may have the slot", async (t) => {
  const rig = await connected(t, 60_000);
  rig.trouble = { since: performance.now() - 5_001, error: new LogError("unavailable", "no coordinator") };
  rig.connection.socket.destroy();
  await waitFor("the slot is given up", () => rig.replica.stats().slots === 0);
  assert.equal(rig.broker.connections.length, 1);
  assert.equal(rig.replica.stats().connected, true, "it has nothing to be connected for");
});

test("a connection lost while the group answers is opened again, and the slot stays", async (t) => {
  const rig = await connected(t);
  rig.trouble = { since: performance.now(), error: new LogError("unavailable", "one heartbeat failed") };
  rig.connection.socket.destroy();
  const second = await rig.broker.connection(1);
  second.send(second.connack(true));
  await waitFor("it is connected", () => rig.replica.stats().connected);
  assert.equal(rig.replica.stats().slotsLost, 0);
});

test("a replica that hands over its slot says goodbye, one that lost it does not", async (t) => {
  const given = await connected(t);
  await given.replica.stop();
  await given.connection.expect("disconnect");
  const lost = await connected(t, 60_000);
  lost.connection.send({ cmd: "disconnect", reasonCode: SESSION_TAKEN_OVER });
  await waitFor("the connection ends", () => {
    lost.connection.socket.end();
    return lost.connection.closed;
  });
  assert.ok(!lost.connection.received.some(({ cmd }) => cmd === "disconnect"));
});

test("counts of slots that were given up stay in the replica's, what is in flight does not", async (t) => {
  const { replica, connection } = await connected(t, 60_000);
  connection.send(connection.publish(1, 1));
  await waitFor("it is acknowledged", () => connection.acks.includes("puback 1"));
  await replica.stop();
  const { written, received, inFlight, slots } = replica.stats();
  assert.deepEqual({ written, received, inFlight, slots }, { written: 1, received: [0, 1, 0], inFlight: 0, slots: 0 });
});

test("a process that stood still is told so, with how long", async (t) => {
  const pauses: number[] = [];
  const watch = new FreezeWatch(80, (pausedMs) => pauses.push(pausedMs));
  t.after(() => watch.close());
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  await waitFor("the pause is noticed", () => pauses.length === 1);
  assert.ok(pauses[0] >= 200);
});
