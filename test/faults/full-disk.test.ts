/** A broker whose disk is full stops serving: a worker waits for it, and loses nothing. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CleanupList, type Cleanup } from "../support/cleanup.ts";
import { startKafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults } from "./job-under-faults.ts";

const EVENTS = 2_000;
const DISK_MIB = 256;
const PIECE_BYTES = 65_536;

const skip = (await need("kafka", "kcat")) || (await noSmallDisk());

/** Mounting is a privilege and nothing to install, so its lack is no error in CI either. */
async function noSmallDisk(): Promise<string | false> {
  const cleanup = new CleanupList();
  try {
    mountDisk(cleanup);
    return false;
  } catch (error) {
    const message = `SKIPPED: no file system of a given size can be mounted here (${(error as Error).message.trim()})`;
    process.stderr.write(`${message}\n`);
    return message;
  } finally {
    await cleanup.run();
  }
}

/** A folder with a small file system of its own, unmounted after the test. */
function mountDisk(t: Cleanup): string {
  const dir = tempDir(t, "disk");
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_MIB}m`, "tmpfs", dir], { stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => {
    execFileSync("umount", [dir]);
  });
  return dir;
}

/** Takes all the room that is left, whoever else is writing. */
function fill(disk: string): string {
  const ballast = join(disk, "ballast");
  const file = openSync(ballast, "w");
  const piece = Buffer.alloc(PIECE_BYTES);
  try {
    for (;;) writeSync(file, piece);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(file);
  }
  return ballast;
}

test(
  "the broker's disk is full: the broker ends, the worker waits; with room again the same worker goes on, exact",
  { skip, timeout: 150_000 },
  async (t) => {
    // Undone in this order: a broker that runs keeps its disk busy.
    const cleanup = new CleanupList();
    t.after(() => cleanup.run());
    const disk = mountDisk(cleanup);
    const kafka = await startKafka(cleanup, { config: { "log.dirs": disk, "metadata.log.dir": tempDir(cleanup, "metadata") } });
    const job = await JobUnderFaults.create(cleanup, { kafka, partitions: 2, seed: 1, events: 4 * EVENTS });
    await job.fleet.start("w1");
    await job.write(2 * EVENTS);
    await job.untilCommitted(EVENTS);
    const ballast = fill(disk);
    await waitFor("the broker ends", () => kafka.pids[0] === 0, { deadlineMs: 30_000 });
    assert.match(kafka.log(), /No space left on device/);
    const worker = job.fleet.get("w1");
    await worker.waitForOutput(/reading the source topics fails/);
    rmSync(ballast);
    await kafka.restart();
    await job.write(2 * EVENTS);
    await job.drained();
    await worker.waitForOutput(/reading the source topics works again/);
    assert.ok(worker.running(), "the same worker");
    assert.equal(job.fleet.rebuilds, 0, "the worker did not throw its state away");
    await job.fleet.stopAll();
    assertExact(t, await job.differences());
  },
);
