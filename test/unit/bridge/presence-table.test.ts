/** What presence says of each device, as its topic is read and followed. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { encodePresence, type PresenceRecord } from "../../../bridge/presence/formats.ts";
import { PresenceTable } from "../../../bridge/presence/presence-table.ts";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { LogError } from "../../../eventlog/errors.ts";
import type { EventLog } from "../../../eventlog/port.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";
import { wrappedLog } from "../../support/wrapped-log.ts";
import { SILENT } from "../edge/support.ts";

const RECORD: PresenceRecord = { status: "online", reason: "state", sinceTs: 5, lastSeenTs: 4, retained: false };

async function openLog(t: TestContext): Promise<EmbeddedLog> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "presence") });
  t.after(() => log.close());
  await log.admin.createTopics([{ name: "presence", partitions: 1, config: { "cleanup.policy": "compact" } }]);
  return log;
}

function told(log: EventLog, key: string, record: PresenceRecord | null): Promise<void> {
  const value = record === null ? null : (encodePresence(key, record) ?? null);
  return write(log, recordSet("presence", [{ key, value }]));
}

function openTable(t: TestContext, log: EventLog, maxDevices = 100): PresenceTable {
  const table = new PresenceTable("presence", maxDevices, log, SILENT);
  t.after(() => table.close());
  table.start();
  return table;
}

test("what was written is known after the topic is read, and what comes as it comes; a tenant's device is not another tenant's", async (t) => {
  const log = await openLog(t);
  await told(log, "acme|a", { ...RECORD, ingress: "one" });
  const table = openTable(t, log);
  assert.equal(table.of("acme|a"), undefined, "not read yet");
  await waitFor("it is read", () => table.of("acme|a") !== undefined);
  assert.deepEqual([table.of("acme|a"), table.of("beta|a")], [{ ...RECORD, ingress: "one" }, null]);
  await told(log, "acme|a", { ...RECORD, status: "offline", reason: "will", gateway: "g1" });
  await waitFor("it is offline", () => table.of("acme|a")?.status === "offline");
  assert.deepEqual(table.of("acme|a"), { ...RECORD, status: "offline", reason: "will", gateway: "g1" });
  await told(log, "acme|a", null);
  await waitFor("it is gone", () => table.of("acme|a") === null);
});

test("beyond its bound a device is not remembered; those that are change as before", async (t) => {
  const log = await openLog(t);
  for (const id of ["a", "b", "c"]) await told(log, `acme|${id}`, RECORD);
  await told(log, "acme|a", { ...RECORD, status: "stale" });
  const table = openTable(t, log, 2);
  await waitFor("it is read", () => table.of("acme|a") !== undefined);
  assert.deepEqual(
    ["a", "b", "c"].map((id) => table.of(`acme|${id}`)?.status),
    ["stale", "online", undefined],
  );
});

test("a topic that cannot be read is tried again, and closing does not wait for it", async (t) => {
  const log = await openLog(t);
  await told(log, "acme|a", RECORD);
  let asked = 0;
  let isFailing = (): boolean => asked === 1;
  const failing = wrappedLog(log, {
    partitionCount: (topic) => {
      asked++;
      return isFailing() ? Promise.reject(new LogError("unauthorized", "not allowed to read presence")) : log.partitionCount(topic);
    },
  });
  const table = openTable(t, failing);
  await waitFor("it is read after all", () => table.of("acme|a") !== undefined, { deadlineMs: 20_000 });
  isFailing = () => true;
  const never = openTable(t, failing);
  await waitFor("it was tried", () => asked === 3);
  await never.close();
  assert.equal(never.of("acme|a"), undefined);
});
