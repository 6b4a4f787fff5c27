/** A gateway whose disk fills while its uplink is down, with room again, and then killed. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { BrokerProxy } from "../support/broker-proxy.ts";
import type { Cleanup } from "../support/cleanup.ts";
import { collect } from "../support/collector.ts";
import { freePort } from "../support/free-port.ts";
import { startGateway } from "../support/gateway.ts";
import { GatewayDevices, faultsOf } from "../support/gateway-devices.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { fillDisk, mountDisk } from "../support/small-disk.ts";
import type { CliProcess } from "../support/spawn-cli.ts";
import { waitFor } from "../support/wait-for.ts";

export interface DiskFullSize {
  /** Acknowledged at the least: half before the disk is full, half after. */
  readonly messages: number;
  readonly devices: number;
  /** Room for all of them. */
  readonly diskMiB: number;
  /** For each step. */
  readonly deadlineMs: number;
}

export interface DiskFullCounts {
  readonly acknowledged: number;
  readonly beforeFull: number;
  /** Records upstream beyond each one's first. */
  readonly doubled: number;
}

/** Rejects when something acknowledged did not arrive upstream, or not in its device's order. */
export async function fillGatewayDisk(cleanup: Cleanup, size: DiskFullSize): Promise<DiskFullCounts> {
  const disk = mountDisk(cleanup, size.diskMiB);
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
  const start = (): Promise<CliProcess> => startGateway(cleanup, config);
  const gateway = await start();
  await gateway.waitForOutput(/the uplink is up/);
  const devices = new GatewayDevices(cleanup, `mqtt://127.0.0.1:${port}`, size.devices);
  const acknowledged = (more: number): Promise<unknown> => {
    const wanted = devices.acknowledged.size + more;
    return waitFor(`${wanted} acknowledged`, () => devices.acknowledged.size >= wanted, { deadlineMs: size.deadlineMs });
  };

  await acknowledged(size.messages / 2);
  proxy.refuse();
  const ballast = fillDisk(disk);
  await gateway.waitForOutput(/the store cannot be written/);
  const atFull = devices.acknowledged.size;
  await waitFor("devices are refused", () => devices.underWay > 0);
  rmSync(ballast);
  await gateway.waitForOutput(/the store can be written again/);
  await acknowledged(size.messages / 2);
  await gateway.kill("SIGKILL");
  proxy.calm();
  const again = await start();
  devices.stop();
  await waitFor("the devices are done", () => devices.underWay === 0, { deadlineMs: size.deadlineMs });
  const order = (): string[] =>
    arrived.map(({ topic, payload }) => `${topic.split("/")[3]}/${(JSON.parse(payload.toString()) as { seq: number }).seq}`);
  const isUpstream = (): boolean =>
    arrived.length >= devices.acknowledged.size && faultsOf(order(), devices.acknowledged).lost.length === 0;
  await waitFor("everything is upstream", isUpstream, { deadlineMs: size.deadlineMs });
  const { overtaken, doubled } = faultsOf(order(), devices.acknowledged);
  assert.deepEqual(overtaken, []);
  assert.equal((await again.stop()).code, 0, again.stderr());
  return { acknowledged: devices.acknowledged.size, beforeFull: atFull, doubled };
}
