/** Contract: topics and offsets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeTopic, readToEnd, recordSet, TestMember, unique, until, values, write } from "./eventlog-helpers.ts";
import type { MakeLog } from "./eventlog.contract.ts";

export function adminContract(name: string, makeLog: MakeLog): void {
  test(`${name}: topics are made once, described with their settings, and deleted`, async (t) => {
    const { log } = await makeLog(t);
    const topic = unique("contract");
    const spec = { name: topic, partitions: 3, config: { "cleanup.policy": "compact", "retention.ms": "12345" } };
    assert.deepEqual(await log.admin.createTopics([spec]), [topic]);
    assert.deepEqual(await log.admin.createTopics([spec]), []);
    const [described, ...others] = await log.admin.describeTopics([topic, unique("absent")]);
    assert.equal(others.length, 0);
    assert.equal(described.partitions, 3);
    assert.equal(described.config["cleanup.policy"], "compact");
    assert.equal(described.config["retention.ms"], "12345");
    assert.equal(await log.partitionCount(topic), 3);
    await log.admin.deleteTopics([topic]);
    await until("the topic to be gone", async () => (await log.admin.describeTopics([topic])).length === 0);
  });

  test(`${name}: an absent topic has no partition count`, async (t) => {
    const { log } = await makeLog(t);
    await assert.rejects(log.partitionCount(unique("absent")), { code: "unknown-topic" });
  });

  test(`${name}: listOffsets knows the first, the end, and the first at or after a time`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const at = [{ topic, partition: 0 }];
    const offset = async (of: "earliest" | "latest" | number): Promise<number> =>
      (await log.admin.listOffsets(at, of, "read_committed"))[0].offset;
    assert.deepEqual([await offset("earliest"), await offset("latest")], [0, 0]);
    const writer = log.plainWriter({});
    for (const times of [[1000, 2000], [3000], [5000, 6000]])
      await writer.write(
        recordSet(
          topic,
          times.map((timestamp) => ({ value: "x", timestamp })),
        ),
      );
    await writer.close();
    assert.deepEqual([await offset("earliest"), await offset("latest")], [0, 5]);
    assert.deepEqual([await offset(0), await offset(1001), await offset(3000), await offset(3001), await offset(6000)], [0, 1, 2, 3, 4]);
    assert.equal(await offset(6001), 5, "after the last record: the end");
  });

  test(`${name}: records before an offset can be deleted, also within a batch, but not past the end`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    for (const batch of [["a", "b"], ["c", "d", "e"], ["f"]]) await write(log, values(topic, ...batch));
    const start = async (): Promise<number> =>
      (await log.admin.listOffsets([{ topic, partition: 0 }], "earliest", "read_committed"))[0].offset;
    const left = async (): Promise<string[]> =>
      (await readToEnd(log, [{ topic, partition: 0, offset: await start() }])).map(({ value }) => String(value));
    await log.admin.deleteRecords([{ topic, partition: 0, offset: 3 }]);
    assert.equal(await start(), 3);
    assert.deepEqual(await left(), ["d", "e", "f"]);
    await log.admin.deleteRecords([{ topic, partition: 0, offset: 1 }]);
    assert.equal(await start(), 3, "it never goes back");
    await assert.rejects(log.admin.deleteRecords([{ topic, partition: 0, offset: 7 }]), { code: "offset-out-of-range" });
    await log.admin.deleteRecords([{ topic, partition: 0, offset: 6 }]);
    assert.deepEqual([await start(), await left()], [6, []]);
    await write(log, values(topic, "g"));
    assert.deepEqual(await left(), ["g"]);
  });

  test(`${name}: offsets of a group can be set and deleted from outside only while it has no members`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    await write(log, values(topic, "x"));
    const groupId = unique("group");
    const at = [{ topic, partition: 0 }];
    assert.deepEqual(await log.admin.groupMembers(groupId), []);
    await log.admin.setGroupOffsets(groupId, [{ topic, partition: 0, offset: 1, metadata: "m" }]);
    assert.deepEqual(await log.admin.groupOffsets(groupId, at), [{ topic, partition: 0, offset: 1, metadata: "m" }]);

    const { member } = new TestMember(log, t, { groupId, partitions: 1 });
    await member.start();
    assert.deepEqual(await log.admin.groupMembers(groupId), [member.metadata().memberId]);
    await assert.rejects(log.admin.setGroupOffsets(groupId, [{ topic, partition: 0, offset: 0 }]), { code: "stale-generation" });
    await assert.rejects(log.admin.deleteGroupOffsets(groupId), { code: "invalid-state" });
    await member.commitOffsets([{ topic, partition: 0, offset: 0 }]);
    await member.leave();
    await until("the member is gone", async () => (await log.admin.groupMembers(groupId)).length === 0);

    assert.equal((await log.admin.groupOffsets(groupId, at)).length, 1);
    await log.admin.deleteGroupOffsets(groupId);
    assert.deepEqual(await log.admin.groupOffsets(groupId, at), []);
  });
}
