import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { readToEnd } from "../../contract/eventlog-helpers.ts";
import { tempDir } from "./embedded-helpers.ts";

const CHILD = fileURLToPath(new URL("kill-child.ts", import.meta.url));
const KILLS = 8;
/** What the child writes to each of two partitions in one transaction. */
const RECORDS_PER_PARTITION = 5;

/** Runs the writer until it has acknowledged something, and a random moment more, then kills it; returns what it acknowledged. */
async function runAndKill(dir: string, firstPlain: number, firstTxn: number): Promise<string[]> {
  const child = spawn(process.execPath, [CHILD, dir, String(firstPlain), String(firstTxn)], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const bothBegan = new Promise<void>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.includes("P ") && output.includes("T ")) resolve();
    });
  });
  const closed = new Promise<void>((resolve) => child.stdout.once("close", () => resolve()));
  await Promise.race([bothBegan, exited]);
  await delay(Math.random() * 150); // the random moment of the kill, not a wait for something
  child.kill("SIGKILL");
  await exited;
  await closed;
  return output.split("\n").slice(0, -1);
}

test("after kill -9 everything acknowledged is there once, and transactions are all or nothing", async (t) => {
  const dir = await tempDir(t);
  const ackedPlain: number[] = [];
  const ackedTxns: number[] = [];
  let nextPlain = 0;
  let nextTxn = 1;
  for (let kill = 0; kill < KILLS; kill++) {
    const before = ackedTxns.length;
    for (const line of await runAndKill(dir, nextPlain, nextTxn))
      (line.startsWith("P") ? ackedPlain : ackedTxns).push(Number(line.slice(2)));
    assert.ok(ackedTxns.length > before, "the writer wrote");

    const log = await EmbeddedLog.open({ dir });
    try {
      const plain = (await readToEnd(log, [{ topic: "plain", partition: 0, offset: 0 }])).map(({ value }) => Number(value));
      assert.deepEqual(
        plain,
        Array.from({ length: plain.length }, (_, n) => n),
        "in order, none twice, none lost in between",
      );
      assert.ok(plain.length > Math.max(...ackedPlain), "every acknowledged record");

      const seen = [0, 1].map(() => new Map<string, number>());
      const records = await readToEnd(
        log,
        [0, 1].map((partition) => ({ topic: "txn", partition, offset: 0 })),
      );
      for (const { partition, value } of records) seen[partition].set(String(value), (seen[partition].get(String(value)) ?? 0) + 1);
      assert.deepEqual(seen[0], seen[1]);
      for (const [txn, count] of seen[0]) assert.equal(count, RECORDS_PER_PARTITION, `transaction ${txn}`);
      assert.equal(seen[0].has("aborted"), false);
      for (const txn of ackedTxns) assert.ok(seen[0].has(String(txn)), `acknowledged transaction ${txn}`);
      const last = Math.max(...[...seen[0].keys()].map(Number));
      const [{ offset }] = await log.admin.groupOffsets("g", [{ topic: "plain", partition: 0 }]);
      assert.equal(offset, last, "offsets and records of a transaction are one");
      nextPlain = plain.length;
      nextTxn = last + 1;
    } finally {
      await log.close();
    }
  }
});
