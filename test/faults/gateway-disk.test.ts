/** The gateway's disk is full: devices are refused, what was acknowledged stays readable, and with room again everything goes on. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BrokerProxy } from "../support/broker-proxy.ts";
import { CleanupList } from "../support/cleanup.ts";
import { collect } from "../support/collector.ts";
import { freePort } from "../support/free-port.ts";
import { GatewayDevices, faultsOf } from "../support/gateway-devices.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { fillDisk, mountDisk, noSmallDisk } from "../support/small-disk.ts";
import { spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { waitFor } from "../support/wait-for.ts";

const DISK_MIB = 48;
const STEP = 1_000;

test(
  "the disk fills while the uplink is down, room comes back, then kill -9: everything acknowledged arrives upstream, in order",
  { skip: (await need("mosquitto")) || (await noSmallDisk()), timeout: 90_000 },
  async (t) => {
    // Undone in this order: a gateway that runs keeps its disk busy.
    const cleanup = new CleanupList();
    t.after(() => cleanup.run());
    const disk = mountDisk(cleanup, DISK_MIB);
    const mosquitto = await startMosquitto(cleanup);
    const proxy = await BrokerProxy.start(cleanup, mosquitto.port);
    const arrived = await collect(cleanup, mosquitto.url, ["t/#"]);
    const port = await freePort();
    const config = {
      mqtt: { url: `mqtt://${proxy.address}` },
      gateway: {
        listen: { port, anonymous: true },
        // minFreeBytes 0: the write itself finds the disk full
        store: { dir: join(disk, "store"), minFreeBytes: 0 },
        uplink: { to: "mqtt", minBackOffMs: 50, maxBackOffMs: 200 },
      },
    };
    const start = async (): Promise<CliProcess> => {
      const started = await spawnCli(cleanup, ["gateway"], { config });
      await started.waitForOutput(/gateway takes telemetry/);
      return started;
    };
    const gateway = await start();
    await gateway.waitForOutput(/the uplink is up/);
    const devices = new GatewayDevices(cleanup, `mqtt://127.0.0.1:${port}`, 5);
    const acknowledged = (more: number): Promise<unknown> => {
      const wanted = devices.acknowledged.size + more;
      return waitFor(`${wanted} acknowledged`, () => devices.acknowledged.size >= wanted, { deadlineMs: 30_000 });
    };

    await acknowledged(STEP);
    proxy.refuse();
    const ballast = fillDisk(disk);
    await gateway.waitForOutput(/the store cannot be written/);
    const atFull = devices.acknowledged.size;
    await waitFor("devices are refused", () => devices.underWay > 0);
    rmSync(ballast);
    await gateway.waitForOutput(/the store can be written again/);
    await acknowledged(STEP);
    await gateway.kill("SIGKILL");
    proxy.calm();
    const again = await start();
    devices.stop();
    await waitFor("the devices are done", () => devices.underWay === 0, { deadlineMs: 20_000 });
    const order = (): string[] =>
      arrived.map(({ topic, payload }) => `${topic.split("/")[3]}/${(JSON.parse(payload.toString()) as { seq: number }).seq}`);
    await waitFor("everything is upstream", () => faultsOf(order(), devices.acknowledged).lost.length === 0, { deadlineMs: 20_000 });
    const { overtaken, doubled } = faultsOf(order(), devices.acknowledged);
    assert.deepEqual(overtaken, []);
    assert.equal((await again.stop()).code, 0, again.stderr());
    t.diagnostic(`${devices.acknowledged.size} acknowledged, ${atFull} before the disk was full, ${doubled} doubled`);
  },
);
