/** Contract: topics and offsets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeTopic, recordSet, unique, until, values, write } from "./eventlog-helpers.ts";
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

  test(`${name}: offsets of a group that is over can be deleted`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    await write(log, values(topic, "x"));
    const groupId = unique("group");
    const member = log.group({
      groupId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      heartbeatIntervalMs: 200,
      userData: () => Buffer.alloc(0),
      assignor: {
        name: "contract",
        assign: (members) => Promise.resolve(new Map(members.map(({ memberId }) => [memberId, Buffer.alloc(0)]))),
      },
      listener: {
        onAssigned: () => Promise.resolve(),
        onLost: () => Promise.resolve(),
        onFatal: () => undefined,
      },
    });
    await member.start();
    await member.commitOffsets([{ topic, partition: 0, offset: 1 }]);
    await member.leave();
    assert.equal((await log.admin.groupOffsets(groupId, [{ topic, partition: 0 }])).length, 1);
    await log.admin.deleteGroupOffsets(groupId);
    assert.deepEqual(await log.admin.groupOffsets(groupId, [{ topic, partition: 0 }]), []);
  });
}
