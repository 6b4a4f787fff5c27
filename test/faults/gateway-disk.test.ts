/** The gateway's disk is full: devices are refused, what was acknowledged stays readable, and with room again everything goes on. */
import { test } from "node:test";
import { CleanupList } from "../support/cleanup.ts";
import { need } from "../support/need.ts";
import { noSmallDisk } from "../support/small-disk.ts";
import { fillGatewayDisk } from "./gateway-disk-run.ts";

test(
  "the disk fills while the uplink is down, room comes back, then kill -9: everything acknowledged arrives upstream, in order",
  { skip: (await need("mosquitto")) || (await noSmallDisk()), timeout: 90_000 },
  async (t) => {
    // Undone in this order: a gateway that runs keeps its disk busy.
    const cleanup = new CleanupList();
    t.after(() => cleanup.run());
    const counts = await fillGatewayDisk(cleanup, { messages: 2_000, devices: 5, diskMiB: 48, deadlineMs: 30_000 });
    t.diagnostic(`${counts.acknowledged} acknowledged, ${counts.beforeFull} before the disk was full, ${counts.doubled} doubled`);
  },
);
