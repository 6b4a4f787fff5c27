import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { LogError } from "../../eventlog/errors.ts";
import type { EventLog, GroupMember, GroupMetadata } from "../../eventlog/port.ts";
import { startKafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { runCommand } from "../support/run-command.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeTopic, openLog } from "./kafka/harness.ts";

const skip = await need("kafka");
const SESSION_TIMEOUT_MS = 1_500;

interface Seen {
  readonly member: GroupMember;
  readonly events: string[];
  generation: GroupMetadata | undefined;
  /** "a of a,b": who this member is, and everyone the leader saw. */
  assignment: string;
  fatal: Error | undefined;
}

interface Options {
  readonly groupId: string;
  readonly name: string;
  readonly instanceId?: string;
  readonly topics?: readonly string[];
  readonly onAssigned?: () => Promise<void>;
  /** Before the leader assigns. */
  readonly onAssign?: () => void;
}

function join(t: TestContext, log: EventLog, options: Options): Seen {
  let calls = 0;
  const alone = async (event: string, work?: () => Promise<void>): Promise<void> => {
    assert.equal(++calls, 1, "listener calls overlap");
    seen.events.push(event);
    await work?.();
    calls--;
  };
  const member = log.group({
    groupId: options.groupId,
    instanceId: options.instanceId,
    topics: options.topics,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    rebalanceTimeoutMs: 10_000,
    heartbeatIntervalMs: 100,
    userData: () => Buffer.from(options.name),
    assignor: {
      name: "everyone",
      assign: async (members) => {
        options.onAssign?.();
        const names = members.map(({ userData }) => userData.toString()).sort();
        return Promise.resolve(
          new Map(members.map(({ memberId, userData }) => [memberId, Buffer.from(`${userData.toString()} of ${names.join()}`)])),
        );
      },
    },
    listener: {
      onAssigned: (assignment, generation) => {
        seen.assignment = assignment.toString();
        seen.generation = generation;
        return alone("assigned", options.onAssigned);
      },
      onLost: (error) => alone(`lost ${(error as LogError).code}`),
      onFatal: (error) => {
        seen.fatal = error;
      },
    },
  });
  const seen: Seen = { member, events: [], generation: undefined, assignment: "", fatal: undefined };
  t.after(() => member.leave());
  return seen;
}

test("members get what the leader's assignor gave them, and a member that leaves is gone at once", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const groupId = uniqueName("group");
  const a = join(t, log, { groupId, name: "a" });
  await a.member.start();
  assert.equal(a.assignment, "a of a");
  const b = join(t, log, { groupId, name: "b" });
  await b.member.start();
  await waitFor("both are in", () => a.assignment === "a of a,b" && b.assignment === "b of a,b");
  assert.deepEqual(a.events, ["assigned", "assigned"]);
  assert.equal(a.generation?.generationId, b.generation?.generationId);
  const left = performance.now();
  await b.member.leave();
  await waitFor("a is alone", () => a.assignment === "a of a");
  assert.ok(performance.now() - left < SESSION_TIMEOUT_MS);
  assert.deepEqual(b.events, ["assigned"]);
});

test("a member whose process died is replaced after its session time-out", { skip }, async (t) => {
  const kafka = await startKafka(t, { proxied: true });
  const [proxy] = kafka.proxies;
  const groupId = uniqueName("group");
  const a = join(t, openLog(t, kafka.bootstrap), { groupId, name: "a" });
  await a.member.start();
  const b = join(t, openLog(t, [proxy.address]), { groupId, name: "b" });
  await b.member.start();
  await waitFor("both are in", () => a.assignment === "a of a,b");
  proxy.refuse();
  const died = performance.now();
  await waitFor("a is alone", () => a.assignment === "a of a");
  assert.ok(performance.now() - died < SESSION_TIMEOUT_MS + 3_000);
  proxy.calm();
  // It finds its membership gone, and comes back as a new member.
  await waitFor("b is back", () => b.assignment === "b of a,b" && b.events.length > 2);
  assert.deepEqual(b.events, ["assigned", "lost stale-generation", "assigned"]);
  assert.equal(a.fatal ?? b.fatal, undefined);
});

test("heartbeats go on while callbacks take longer than the session time-out", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const groupId = uniqueName("group");
  const slow = () => new Promise<void>((resolve) => setTimeout(resolve, SESSION_TIMEOUT_MS * 1.5));
  const a = join(t, log, { groupId, name: "a", onAssigned: slow });
  await a.member.start();
  const b = join(t, log, { groupId, name: "b" });
  await b.member.start();
  await waitFor("both are in", () => a.assignment === "a of a,b");
  assert.deepEqual(a.events, ["assigned", "assigned"]);
  assert.equal(b.events.filter((event) => event === "assigned").length, 1);
});

test("rejoin() makes a rebalance, also from a follower with nothing new to say", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const groupId = uniqueName("group");
  const a = join(t, log, { groupId, name: "a" });
  await a.member.start();
  const b = join(t, log, { groupId, name: "b" });
  await b.member.start();
  for (const one of [b, a]) {
    const before = one.member.metadata().generationId;
    one.member.rejoin();
    await waitFor("both are in the next generation", () => [a, b].every(({ generation }) => (generation?.generationId ?? 0) > before));
  }
});

test("a static member that restarts gets its assignment back without a rebalance, and fences its old self", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const groupId = uniqueName("group");
  const other = join(t, log, { groupId, name: "other" });
  await other.member.start();
  const first = join(t, log, { groupId, name: "static", instanceId: "one" });
  await first.member.start();
  await waitFor("both are in", () => other.assignment === "other of other,static");
  const { generationId } = first.member.metadata();
  const second = join(t, log, { groupId, name: "static", instanceId: "one" });
  await second.member.start();
  assert.equal(second.assignment, "static of other,static");
  assert.equal(second.member.metadata().generationId, generationId);
  await waitFor("the first is fenced", () => first.fatal !== undefined);
  assert.deepEqual(other.events, ["assigned", "assigned"]);
});

test("committed offsets come back with their metadata, and a stale generation cannot commit", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const topic = await makeTopic(log, 2);
  const groupId = uniqueName("group");
  const a = join(t, log, { groupId, name: "a" });
  await a.member.start();
  await a.member.commitOffsets([{ topic, partition: 0, offset: 7, metadata: "é" }]);
  const both = [0, 1].map((partition) => ({ topic, partition }));
  assert.deepEqual(await a.member.committed(both), [{ topic, partition: 0, offset: 7, metadata: "é" }]);
  assert.deepEqual(await log.admin.groupOffsets(groupId, both), [{ topic, partition: 0, offset: 7, metadata: "é" }]);
  const txn = log.txnWriter({ transactionalId: uniqueName("txn"), timeoutMs: 60_000 });
  t.after(() => txn.close());
  await txn.open();
  txn.begin();
  await txn.sendOffsets([{ topic, partition: 1, offset: 3 }], a.member.metadata());
  await txn.commit();
  const old = a.member.metadata();
  a.member.rejoin();
  await waitFor("the next generation", () => (a.generation?.generationId ?? 0) > old.generationId);
  txn.begin();
  await assert.rejects(() => txn.sendOffsets([{ topic, partition: 1, offset: 4 }], old), { code: "stale-generation" });
  await txn.abort();
  await a.member.leave();
  await log.admin.deleteGroupOffsets(groupId);
  assert.deepEqual(await log.admin.groupOffsets(groupId, both), []);
});

test("a leader whose log is away for a moment while it assigns joins again", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  let assigned = 0;
  const onAssign = (): void => {
    if (++assigned === 1) throw new LogError("timed-out", "no end offsets yet");
  };
  const one = join(t, log, { groupId: uniqueName("group"), name: "one", onAssign });
  await one.member.start();
  assert.deepEqual([assigned, one.assignment, one.fatal], [2, "one of one", undefined]);
  assert.equal(one.member.trouble, undefined);
});

test("a callback that fails makes the member give up", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  let calls = 0;
  const second = (): Promise<void> => (++calls === 2 ? Promise.reject(new Error("commit failed")) : Promise.resolve());
  const a = join(t, log, { groupId: uniqueName("group"), name: "a", onAssigned: second });
  await a.member.start();
  a.member.rejoin();
  await waitFor("the failure is reported", () => a.fatal?.message === "commit failed");
  const failing = join(t, log, { groupId: uniqueName("group"), name: "a", onAssigned: () => Promise.reject(new Error("restore failed")) });
  await assert.rejects(() => failing.member.start(), { message: "restore failed" });
});

test("Kafka's own tool can describe a group that names its topics", { skip }, async (t) => {
  const kafka = await sharedKafka();
  const log = openLog(t, kafka.bootstrap);
  const topic = await makeTopic(log, 1);
  const groupId = uniqueName("group");
  const a = join(t, log, { groupId, name: "a", topics: [topic] });
  await a.member.start();
  await a.member.commitOffsets([{ topic, partition: 0, offset: 0 }]);
  const args = ["-cp", `${kafka.libsDir}/*`, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"];
  const described = await runCommand("java", [...args, "--bootstrap-server", kafka.bootstrapServers, "--describe", "--group", groupId], {
    timeoutMs: 30_000,
  });
  assert.equal(described.code, 0, described.stderr);
  assert.match(String(described.stdout), new RegExp(`${groupId} +${topic} +0 +0`));
});
