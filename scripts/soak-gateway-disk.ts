/**
 * The long form of test/faults/gateway-disk.test.ts: a gateway's disk fills, with room again it goes on, and is killed. Needs the right to mount.
 *
 *     npm run soak:gateway-disk -- [--messages 1000000] [--devices 50] [--disk-mib 2048]
 */
import { parseArgs } from "node:util";
import { fillGatewayDisk } from "../test/faults/gateway-disk-run.ts";
import { CleanupList } from "../test/support/cleanup.ts";
import { need } from "../test/support/need.ts";
import { noSmallDisk } from "../test/support/small-disk.ts";

/** Of each step. */
const DEADLINE_MS = 600_000;

const { values } = parseArgs({
  options: {
    messages: { type: "string", default: "1000000" },
    devices: { type: "string", default: "50" },
    "disk-mib": { type: "string", default: "2048" },
  },
});
const missing = (await need("mosquitto")) || (await noSmallDisk());
if (missing !== false) throw new Error(missing);
const cleanup = new CleanupList();
try {
  const counts = await fillGatewayDisk(cleanup, {
    messages: Number(values.messages),
    devices: Number(values.devices),
    diskMiB: Number(values["disk-mib"]),
    deadlineMs: DEADLINE_MS,
  });
  process.stdout.write(`everything acknowledged arrived, in order: ${JSON.stringify(counts)}\n`);
} finally {
  await cleanup.run();
}
