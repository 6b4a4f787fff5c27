/** Contract: groups share partitions, and nobody gets one before its last owner has given it up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestMember, makeTopic, unique, until, untilShared } from "./eventlog-helpers.ts";
import type { MakeLog } from "./eventlog.contract.ts";

export function groupContract(name: string, makeLog: MakeLog): void {
  test(`${name}: a second member gets its part only after the first one has given it up, and what stays is never given up`, async (t) => {
    const { log } = await makeLog(t);
    const groupId = unique("group");
    const first = new TestMember(log, t, { groupId, partitions: 4, userData: "first" });
    await first.start();
    assert.equal(first.assignment, "0,1,2,3");
    const generation = first.member.metadata().generationId;
    const gate = Promise.withResolvers<void>();
    first.giveUpGate = gate.promise;
    const second = new TestMember(log, t, { groupId, partitions: 4, userData: "second" });
    await second.start();
    await until("that the first gives up its half", () => first.events.length === 2);
    // The next round waits for the first member, which may commit what it gives up meanwhile.
    second.member.rejoin();
    const topic = await makeTopic(log);
    await first.member.commitOffsets([{ topic, partition: 0, offset: 5 }]);
    assert.deepEqual([first.assignment, second.assignment], ["0,1,2,3", ""]);
    gate.resolve();
    await until("the second member's part", () => second.assignment?.length === 3);
    assert.deepEqual([first.assignment, second.assignment].sort(), ["0,2", "1,3"]);
    assert.match(first.events.slice(0, 3).join("; "), /^has 0,1,2,3; giving up (0,2; has 1,3|1,3; has 0,2)$/);
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
    await untilShared(first, second);
    const events = second.events.length;
    await second.member.leave();
    await until("all partitions", () => first.assignment === "0,1");
    assert.equal(second.events.length, events, second.events.join("; "));
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
    await until("the assignment", () => member.events.length === 2);
    assert.deepEqual(member.events, ["has 0", "has 0"]);
  });

  test(`${name}: commits go on through rebalances, with the stamp of one generation or the next`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const at = { topic, partition: 0 };
    const groupId = unique("group");
    const first = new TestMember(log, t, { groupId, partitions: 2 });
    const second = new TestMember(log, t, { groupId, partitions: 2 });
    await Promise.all([first.start(), second.start()]);
    const writer = log.txnWriter({ transactionalId: unique("txn"), timeoutMs: 60_000 });
    t.after(() => writer.close());
    await writer.open();
    let overtaken = 0;
    let offset = 0;
    for (let round = 0; round < 5; round++) {
      const before = first.lastMetadata?.generationId ?? 0;
      second.member.rejoin();
      await until("the next generation", async () => {
        offset++;
        writer.begin();
        for (let sent = false; !sent;) {
          const stamp = first.member.metadata();
          try {
            await writer.sendOffsets([{ ...at, offset }], stamp);
            sent = true;
          } catch (error) {
            assert.equal((error as { code?: string }).code, "stale-generation");
            overtaken++;
            await first.member.renewed(stamp); // the transaction is still open
          }
        }
        await writer.commit();
        await first.member.commitOffsets([{ ...at, offset: ++offset, metadata: "m" }]);
        return (first.lastMetadata?.generationId ?? 0) > before;
      });
    }
    t.diagnostic(`${offset} commits, ${overtaken} of them sent again after a rebalance`);
    assert.deepEqual(await first.member.committed([at]), [{ ...at, offset, metadata: "m" }]);
    assert.equal(first.events.filter((event) => event === "lost").length, 0);
  });

  test(`${name}: who waits for the next generation hears when there is none`, async (t) => {
    const { log } = await makeLog(t);
    const first = new TestMember(log, t, { groupId: unique("group"), partitions: 1 });
    await first.start();
    const stamp = first.member.metadata();
    const waiting = assert.rejects(first.member.renewed(stamp), { code: "stale-generation" });
    await first.member.leave();
    await waiting;
    await assert.rejects(first.member.renewed({ ...stamp, memberId: "another" }), { code: "stale-generation" });
  });

  test(`${name}: a static member that comes back keeps its assignment, and the others notice nothing`, async (t) => {
    const { log } = await makeLog(t);
    const groupId = unique("group");
    const stays = new TestMember(log, t, { groupId, partitions: 2 });
    await stays.start();
    const instanceId = unique("instance");
    const before = new TestMember(log, t, { groupId, partitions: 2, instanceId });
    await before.start();
    await untilShared(stays, before);
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
