import assert from "node:assert/strict";
import { test } from "node:test";
import { TestMember, unique, until } from "../../contract/eventlog-helpers.ts";
import { openLog, tempDir } from "./embedded-helpers.ts";

test("a member that does not give up its partitions in time loses them, and comes back as another one", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const groupId = unique("group");
  const stuck = new TestMember(log, t, { groupId, partitions: 2, rebalanceTimeoutMs: 30 });
  await stuck.start();
  const before = stuck.member.metadata();
  const gate = Promise.withResolvers<void>();
  stuck.giveUpGate = gate.promise;
  const other = new TestMember(log, t, { groupId, partitions: 2, rebalanceTimeoutMs: 30 });
  await other.start();
  other.member.rejoin();
  await until("all partitions", () => other.assignment === "0,1");
  await assert.rejects(stuck.member.commitOffsets([{ topic: "any", partition: 0, offset: 1 }]), { code: "stale-generation" });
  gate.resolve();
  await until("the way back", () => stuck.assignment !== undefined && stuck.events.includes("lost"));
  assert.notEqual(stuck.member.metadata().memberId, before.memberId);
  assert.match(stuck.events.slice(0, 4).join("; "), /^has 0,1; giving up [01]; has [01]; lost$/);
  await until("a part each", () => [stuck.assignment, other.assignment].sort().join() === "0,1");
});

test("a second member with the same instance id ends the first one", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const groupId = unique("group");
  const first = new TestMember(log, t, { groupId, partitions: 1, instanceId: "i" });
  await first.start();
  const second = new TestMember(log, t, { groupId, partitions: 1, instanceId: "i" });
  await second.start();
  assert.equal((first.fatal as { code?: string } | undefined)?.code, "fenced");
  assert.equal(second.assignment, "0");
});

test("many members that come and go end with every partition at exactly one of them", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const groupId = unique("group");
  const members = Array.from({ length: 6 }, () => new TestMember(log, t, { groupId, partitions: 12 }));
  await Promise.all(members.slice(0, 4).map((member) => member.start()));
  void members[1].member.leave();
  void members[4].start();
  void members[2].member.leave();
  members[0].member.rejoin();
  await members[5].start();
  const staying = [members[0], members[3], members[4], members[5]];
  await until("twelve partitions, three each", () => {
    const owned = staying.flatMap(({ assignment }) => (assignment ?? "").split(",").filter((p) => p !== ""));
    return owned.length === 12 && new Set(owned).size === 12 && staying.every(({ assignment }) => assignment?.split(",").length === 3);
  });
});
