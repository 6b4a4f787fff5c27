/** Contract: groups share partitions, and nobody gets one before its last owner has given it up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestMember, makeTopic, unique, until } from "./eventlog-helpers.ts";
import type { MakeLog } from "./eventlog.contract.ts";

export function groupContract(name: string, makeLog: MakeLog): void {
  test(`${name}: a second member gets its part only after the first one's onRevoked is through`, async (t) => {
    const { log } = await makeLog(t);
    const groupId = unique("group");
    const first = new TestMember(log, t, { groupId, partitions: 4, userData: "first" });
    await first.start();
    assert.equal(first.assignment, "0,1,2,3");
    const generation = first.member.metadata().generationId;
    const gate = Promise.withResolvers<void>();
    first.revokeGate = gate.promise;
    const second = new TestMember(log, t, { groupId, partitions: 4, userData: "second" });
    const started = second.start();
    await until("the revocation", () => first.events.includes("revoking"));
    assert.equal(second.assignment, undefined);
    // While it gives up its partitions the first member may still commit.
    const topic = await makeTopic(log);
    await first.member.commitOffsets([{ topic, partition: 0, offset: 5 }]);
    assert.equal(second.assignment, undefined);
    gate.resolve();
    await started;
    await until("the first member's new part", () => first.assignment !== undefined);
    assert.deepEqual([first.assignment, second.assignment].sort(), ["0,2", "1,3"]);
    assert.deepEqual(first.events.slice(0, 3), ["assigned 0,1,2,3", "revoking", "revoked"]);
    assert.ok(first.member.metadata().generationId > generation);
    assert.equal(first.member.metadata().generationId, second.member.metadata().generationId);
    assert.deepEqual(await second.member.committed([{ topic, partition: 0 }]), [{ topic, partition: 0, offset: 5 }]);
    const shown = [first, second].map(({ seenUserData }) => seenUserData.join());
    assert.ok(shown.includes("first,second"), "the leader's assignor sees both members' user data");
  });

  test(`${name}: when a member leaves, the others get its partitions`, async (t) => {
    const { log } = await makeLog(t);
    const groupId = unique("group");
    const first = new TestMember(log, t, { groupId, partitions: 2 });
    const second = new TestMember(log, t, { groupId, partitions: 2 });
    await Promise.all([first.start(), second.start()]);
    await until("a part each", () => [first.assignment, second.assignment].sort().join() === "0,1");
    const revocations = second.events.filter((event) => event === "revoking").length;
    await second.member.leave();
    await until("all partitions", () => first.assignment === "0,1");
    assert.equal(second.events.filter((event) => event === "revoking").length, revocations);
  });

  test(`${name}: commits of an earlier generation are refused`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const groupId = unique("group");
    const first = new TestMember(log, t, { groupId, partitions: 2 });
    await first.start();
    await first.member.commitOffsets([{ topic, partition: 0, offset: 1, metadata: "mine" }]);
    assert.deepEqual(await first.member.committed([{ topic, partition: 0 }]), [{ topic, partition: 0, offset: 1, metadata: "mine" }]);
    assert.deepEqual(await log.admin.groupOffsets(groupId, [{ topic, partition: 0 }]), [
      { topic, partition: 0, offset: 1, metadata: "mine" },
    ]);
    await first.member.leave();
    const second = new TestMember(log, t, { groupId, partitions: 2 });
    await second.start();
    await assert.rejects(first.member.commitOffsets([{ topic, partition: 0, offset: 9 }]), { code: /^(stale-generation|closed)$/ });
    assert.equal((await second.member.committed([{ topic, partition: 0 }]))[0].offset, 1);
  });

  test(`${name}: rejoin() makes a new round with new user data`, async (t) => {
    const { log } = await makeLog(t);
    const member = new TestMember(log, t, { groupId: unique("group"), partitions: 1 });
    await member.start();
    const generation = member.member.metadata().generationId;
    member.member.rejoin();
    await until("the next generation", () => (member.lastMetadata?.generationId ?? 0) > generation);
    assert.deepEqual(member.events, ["assigned 0", "revoking", "revoked", "assigned 0"]);
  });

  test(`${name}: a static member that comes back keeps its assignment, and the others notice nothing`, async (t) => {
    const { log } = await makeLog(t);
    const groupId = unique("group");
    const stays = new TestMember(log, t, { groupId, partitions: 2 });
    await stays.start();
    const instanceId = unique("instance");
    const before = new TestMember(log, t, { groupId, partitions: 2, instanceId });
    await before.start();
    await until("a part each", () => [stays.assignment, before.assignment].sort().join() === "0,1");
    const had = before.assignment;
    const events = stays.events.length;
    const generation = before.member.metadata().generationId;
    await before.member.leave();
    const after = new TestMember(log, t, { groupId, partitions: 2, instanceId });
    await after.start();
    assert.equal(after.assignment, had);
    assert.equal(after.member.metadata().generationId, generation);
    assert.equal(stays.events.length, events, stays.events.join("; "));
    await assert.rejects(before.member.commitOffsets([{ topic: "any", partition: 0, offset: 1 }]), { action: /^(fenced|fatal)$/ });
  });
}
