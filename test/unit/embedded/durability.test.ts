import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { makeTopic, readTexts, readToEnd, unique, until, values, write } from "../../contract/eventlog-helpers.ts";
import { openLog, tempDir } from "./embedded-helpers.ts";

test("a directory that another process holds is refused with a clear error", async (t) => {
  const dir = await tempDir(t);
  await openLog(t, { dir });
  const script = `
    const { EmbeddedLog } = await import(process.argv[1]);
    await EmbeddedLog.open({ dir: process.argv[2] }).then(() => console.log("opened"), (error) => console.log(error.code, error.action, error.message));`;
  const url = new URL("../../../eventlog/embedded/embedded-log.ts", import.meta.url).href;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script, url, dir], { encoding: "utf8", timeout: 20_000 });
  assert.match(stdout, /^unavailable fatal the event log in .* cannot be opened: another process is using it/);
});

test("records, topics and group offsets outlive the process", async (t) => {
  const dir = await tempDir(t);
  const first = await EmbeddedLog.open({ dir });
  const topic = await makeTopic(first, 2, { "cleanup.policy": "compact" });
  await write(first, values(topic, "a", "b"));
  const writer = first.txnWriter({ transactionalId: "t", timeoutMs: 1000 });
  await writer.open();
  writer.begin();
  await writer.sendOffsets([{ topic, partition: 1, offset: 3, metadata: "häh" }], { groupId: "g", generationId: -1, memberId: "" });
  await writer.commit();
  await first.close();
  const second = await openLog(t, { dir });
  assert.deepEqual(await readTexts(second, topic), ["a", "b"]);
  assert.equal((await second.admin.describeTopics([topic]))[0].config["cleanup.policy"], "compact");
  assert.deepEqual(await second.admin.groupOffsets("g", [{ topic, partition: 1 }]), [{ topic, partition: 1, offset: 3, metadata: "häh" }]);
  await write(second, values(topic, "c"));
  assert.deepEqual(await readTexts(second, topic), ["a", "b", "c"]);
});

test("offsets of an aborted tail are never used again: a reader that passed them would miss the new records", async (t) => {
  const dir = await tempDir(t);
  const first = await EmbeddedLog.open({ dir });
  const topic = await makeTopic(first);
  await write(first, values(topic, "a"));
  const writer = first.txnWriter({ transactionalId: "t", timeoutMs: 60_000 });
  await writer.open();
  writer.begin();
  await writer.write(values(topic, "x", "y", "z"));
  await writer.abort();
  const [end] = await first.admin.listOffsets([{ topic, partition: 0 }], "latest", "read_committed");
  await first.close();
  const second = await openLog(t, { dir });
  assert.deepEqual(await second.admin.listOffsets([{ topic, partition: 0 }], "latest", "read_committed"), [end]);
  await write(second, values(topic, "b"));
  assert.deepEqual(
    (await readToEnd(second, [end])).map(({ value }) => String(value)),
    ["b"],
  );
});

test("a topic made anew under a deleted one's name is empty, also after a restart", async (t) => {
  const dir = await tempDir(t);
  const first = await EmbeddedLog.open({ dir });
  const name = unique("again");
  const spec = { name, partitions: 1, config: {} };
  await first.admin.createTopics([spec]);
  await write(first, values(name, "old"));
  await first.admin.deleteTopics([name]);
  await first.admin.createTopics([spec]);
  await write(first, values(name, "new"));
  await first.close();
  const second = await openLog(t, { dir });
  assert.deepEqual(await readTexts(second, name), ["new"]);
});

test("a transaction that takes too long is aborted, and no longer holds readers up", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const topic = await makeTopic(log);
  const writer = log.txnWriter({ transactionalId: "slow", timeoutMs: 20 });
  await writer.open();
  writer.begin();
  await writer.write(values(topic, "too late"));
  await write(log, values(topic, "plain"));
  await until(
    "the abort",
    async () => (await log.admin.listOffsets([{ topic, partition: 0 }], "latest", "read_committed"))[0].offset === 2,
  );
  assert.deepEqual(await readTexts(log, topic), ["plain"]);
  await assert.rejects(writer.commit(), { code: "transaction-aborted", action: "abortable" });
  await writer.abort();
  writer.begin();
  await writer.write(values(topic, "in time"));
  await writer.commit();
  assert.deepEqual(await readTexts(log, topic), ["plain", "in time"]);
});

test("a transaction over a topic deleted meanwhile does not commit", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const [gone, stays] = [await makeTopic(log), await makeTopic(log)];
  const writer = log.txnWriter({ transactionalId: "t", timeoutMs: 60_000 });
  await writer.open();
  writer.begin();
  await writer.write(values(stays, "x"));
  await writer.write(values(gone, "x"));
  await log.admin.deleteTopics([gone]);
  await assert.rejects(writer.commit(), { code: "transaction-aborted" });
  await writer.abort();
  assert.deepEqual(await readTexts(log, stays), []);
});

test("a closed log refuses everything, and closing ends what waits", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const topic = await makeTopic(log);
  const reader = log.reader({ isolation: "read_committed" });
  reader.assign([{ topic, partition: 0, offset: 0 }]);
  const polled = assert.rejects(reader.poll(60_000), { code: "closed" });
  await log.close();
  await polled;
  assert.throws(() => log.plainWriter({}), { code: "closed" });
  assert.throws(() => log.reader({ isolation: "read_committed" }), { code: "closed" });
});
