/** After a write that failed the log takes no more, because level would lose what follows; opened anew it goes on. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { ClassicLevel } from "classic-level";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { CleanupList } from "../../support/cleanup.ts";
import { fillDisk, mountDisk, noSmallDisk } from "../../support/small-disk.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { wrappedLog } from "../../support/wrapped-log.ts";
import { setUp } from "../runtime/support/counting-worker.ts";
import { makeTopic, readTexts, values, write } from "../../contract/eventlog-helpers.ts";
import { openLog, tempDir } from "./embedded-helpers.ts";

const REFUSED = { code: "write-failed", action: "fatal" };
const UNKNOWN = { code: "unknown-outcome", action: "unknown-outcome" };
const KEYS = 5;
/** More than a full disk has left in its last page. */
const LARGE = "x".repeat(100_000);

/** The next write of any level fails as level says it. */
function failNextWrite(t: TestContext, why: string): void {
  const mocked = t.mock.method(ClassicLevel.prototype, "batch", () => {
    mocked.mock.restore();
    return Promise.reject(new Error(`IO error: 000003.log: ${why}`));
  });
}

test(
  "a full disk: what was acknowledged is found when the log is opened anew, and nothing is acknowledged in between",
  { skip: await noSmallDisk() },
  async (t) => {
    // Undone in this order: an open log keeps its disk busy.
    const cleanup = new CleanupList();
    t.after(() => cleanup.run());
    const dir = join(mountDisk(cleanup, 16), "log");
    const first = await EmbeddedLog.open({ dir });
    cleanup.after(() => first.close());
    const topic = await makeTopic(first);
    await write(first, values(topic, "before"));
    const ballast = fillDisk(join(dir, ".."));
    await assert.rejects(write(first, values(topic, LARGE)), UNKNOWN);
    assert.deepEqual(await readTexts(first, topic), ["before"], "reading goes on");
    rmSync(ballast);
    await assert.rejects(write(first, values(topic, "too early")), REFUSED);
    await first.close();
    const second = await EmbeddedLog.open({ dir });
    cleanup.after(() => second.close());
    await write(second, values(topic, "after"));
    // level's file buffer may still write the rest of a record that did not fit
    const found = (await readTexts(second, topic)).filter((text) => text !== LARGE);
    assert.deepEqual(found, ["before", "after"]);
  },
);

for (const fsync of [false, true]) {
  test(`an I/O error (fsync ${fsync}): every way of writing is refused until the log is opened anew`, async (t) => {
    const dir = await tempDir(t);
    const first = await EmbeddedLog.open({ dir, fsync });
    t.after(() => first.close());
    const topic = await makeTopic(first);
    await write(first, values(topic, "before"));
    const committing = first.txnWriter({ transactionalId: "t", timeoutMs: 60_000 });
    await committing.open();
    committing.begin();
    await committing.write(values(topic, "lost"));
    failNextWrite(t, "Input/output error");
    await assert.rejects(committing.commit(), UNKNOWN);

    await assert.rejects(committing.open(), REFUSED, "its offsets cannot be given up");
    const other = first.txnWriter({ transactionalId: "other", timeoutMs: 60_000 });
    await other.open();
    other.begin();
    await assert.rejects(other.write(values(topic, "x")), REFUSED);
    await other.abort();
    other.begin();
    await other.sendOffsets([{ topic, partition: 0, offset: 1 }], { groupId: "g", generationId: -1, memberId: "" });
    await assert.rejects(other.commit(), REFUSED);
    await assert.rejects(write(first, values(topic, "x")), REFUSED);
    const writer = first.plainWriter({});
    const told = Promise.withResolvers<undefined>();
    writer.send({ topic, partition: 0 }, null, Buffer.from("x"), undefined, 1, (error) =>
      error === undefined ? told.resolve(undefined) : told.reject(error),
    );
    await assert.rejects(told.promise, REFUSED);
    await assert.rejects(first.admin.createTopics([{ name: "new", partitions: 1, config: {} }]), REFUSED);
    await assert.rejects(first.admin.setGroupOffsets("g", [{ topic, partition: 0, offset: 1 }]), REFUSED);
    await assert.rejects(first.admin.deleteRecords([{ topic, partition: 0, offset: 1 }]), REFUSED);
    await first.close();

    const second = await openLog(t, { dir, fsync });
    await write(second, values(topic, "after"));
    assert.deepEqual(await readTexts(second, topic), ["before", "after"]);
  });
}

test("a write that overlaps a failed one is not acknowledged: it may stand behind it in level's journal", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const topic = await makeTopic(log, 2);
  const held = Promise.withResolvers<void>();
  const batch = Reflect.get(ClassicLevel.prototype, "batch") as (...args: unknown[]) => Promise<void>;
  const mocked = t.mock.method(ClassicLevel.prototype, "batch", function (this: unknown, ...args: unknown[]) {
    if (mocked.mock.callCount() === 0) return held.promise;
    const own = Reflect.apply(batch, this, args);
    // by then whoever does not wait for the other has its answer
    void own.then(() => setImmediate(() => held.reject(new Error("IO error: No space left on device"))));
    return own;
  });
  await Promise.all([assert.rejects(write(log, values(topic, "a")), UNKNOWN), assert.rejects(write(log, values(topic, "b")), UNKNOWN)]);
});

test("deleting a topic of more rows than one write takes deletes them all", async (t) => {
  const dir = await tempDir(t);
  const first = await EmbeddedLog.open({ dir });
  const topic = await makeTopic(first, 1);
  const writer = first.txnWriter({ transactionalId: "t", timeoutMs: 60_000 });
  await writer.open();
  writer.begin();
  for (let i = 0; i < 5_000; i++) await writer.write(values(topic, String(i)));
  await writer.commit();
  await first.admin.deleteTopics([topic]);
  await first.close();
  const level = new ClassicLevel(dir, { keyEncoding: "buffer", valueEncoding: "buffer" });
  t.after(() => level.close());
  const keys = await level.keys().all();
  assert.ok(keys.length < 10, `${keys.length} rows are left`);
});

test(
  "a worker on a log whose write failed ends and says why; on the log opened anew another goes on, and nothing is lost or doubled",
  { timeout: 30_000 },
  async (t) => {
    const dir = await tempDir(t);
    const first = await EmbeddedLog.open({ dir });
    const setup = await setUp(t, { engine: "memory", own: { log: first, prefix: "" } });
    const worker = setup.worker();
    await worker.start();
    await setup.feed(KEYS, 3);
    await waitUntilDrained(first, setup.applicationId, setup.source);
    const ended = assert.rejects(worker.finished, /takes no writes since one failed .*No space left on device/);
    const writer = first.plainWriter({});
    // what is sent here is written, and the worker's commit of it is not
    writer.send({ topic: setup.source, partition: 0 }, Buffer.from("k0"), Buffer.from("k0"), undefined, 1, (error) => {
      if (error === undefined) failNextWrite(t, "No space left on device");
    });
    await ended;
    await first.close();

    const second = await openLog(t, { dir });
    const again = await setUp(t, { engine: "memory", own: { log: wrappedLog(second, { close: () => Promise.resolve() }), prefix: "" } });
    await again.worker().start();
    await waitUntilDrained(second, again.applicationId, again.source);
    const counts = await again.counts();
    assert.deepEqual(counts.get("k0"), [1, 2, 3, 4]);
    for (let key = 1; key < KEYS; key++) assert.deepEqual(counts.get(`k${key}`), [1, 2, 3]);
  },
);
