/** A broker whose disk is full stops serving: a worker waits for it, and loses nothing. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { CleanupList } from "../support/cleanup.ts";
import { startKafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { fillDisk, mountDisk, noSmallDisk } from "../support/small-disk.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults } from "./job-under-faults.ts";

const EVENTS = 2_000;
const DISK_MIB = 256;

const skip = (await need("kafka", "kcat")) || (await noSmallDisk());

test(
  "the broker's disk is full: the broker ends, the worker waits; with room again the same worker goes on, exact",
  { skip, timeout: 150_000 },
  async (t) => {
    // Undone in this order: a broker that runs keeps its disk busy.
    const cleanup = new CleanupList();
    t.after(() => cleanup.run());
    const disk = mountDisk(cleanup, DISK_MIB);
    const kafka = await startKafka(cleanup, { config: { "log.dirs": disk, "metadata.log.dir": tempDir(cleanup, "metadata") } });
    const job = await JobUnderFaults.create(cleanup, { kafka, partitions: 2, seed: 1, events: 4 * EVENTS });
    await job.fleet.start("w1");
    await job.write(2 * EVENTS);
    await job.untilCommitted(EVENTS);
    const ballast = fillDisk(disk);
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
