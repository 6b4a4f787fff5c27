import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { RecordSet } from "../../../eventlog/records/record-set.ts";
import { OffsetReset, type OffsetResetPolicy } from "../../../runtime/offset-reset.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";

const logger = pino({ level: "silent" });

/** Five records in the log, a reader that is to go on at 1,000, and one record more after the reset. What is read then. */
async function readAfterReset(t: TestContext, policy: OffsetResetPolicy): Promise<string[]> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "reset"), logger });
  t.after(() => log.close());
  await log.admin.createTopics([{ name: "in", partitions: 1, config: {} }]);
  const writer = log.plainWriter({});
  t.after(() => writer.close());
  const write = async (...texts: string[]): Promise<void> => {
    const set = new RecordSet(100_000);
    for (const text of texts) {
      const value = Buffer.from(text);
      set.partition("in", 0).append(1, null, 0, 0, value, 0, value.length);
    }
    await writer.write(set);
  };
  await write("0", "1", "2", "3", "4");
  const reader = log.reader({ isolation: "read_committed" });
  t.after(() => reader.close());
  reader.assign([{ topic: "in", partition: 0, offset: 1_000 }]);
  const reset = new OffsetReset(log.admin, policy, logger);
  assert.deepEqual(await reset.poll(reader, 1_000), []);
  await write("5");
  const read: string[] = [];
  await waitFor("the last record", async () => {
    for (const { records } of await reset.poll(reader, 100)) for (let i = 0; i < records.count; i++) read.push(String(records.value(i)));
    return read.includes("5");
  });
  return read;
}

test("offsets out of range, earliest: nothing that is there is left out", async (t) => {
  assert.deepEqual(await readAfterReset(t, "earliest"), ["0", "1", "2", "3", "4", "5"]);
});

test("offsets out of range, latest: only what comes next", async (t) => {
  assert.deepEqual(await readAfterReset(t, "latest"), ["5"]);
});

test("offsets out of range, fail: the error reaches the caller", async (t) => {
  await assert.rejects(readAfterReset(t, "fail"), { code: "offset-out-of-range" });
});
