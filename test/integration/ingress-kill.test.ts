/** kill -9 of the ingress under load, Mosquitto in between. Issue 3: every message the broker acknowledged is in the raw topic. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { spawnGuarded } from "../support/child-process.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";
import { openLog, publisher, readTopic, sorted } from "./ingress-support.ts";

const skip = await need("mosquitto");
const CHILD = fileURLToPath(new URL("ingress-child.ts", import.meta.url));
const KILLS = 4;
const DEVICES = 10;
const MAX_UNDER_WAY = 500;

interface Child {
  /** Acknowledgements to the broker, by the child's own account. */
  acked(): number;
  kill(): Promise<unknown>;
  stop(): Promise<unknown>;
}

async function startChild(t: TestContext, url: string, dir: string): Promise<Child> {
  const child = await spawnGuarded(process.execPath, [CHILD, url, dir]);
  t.after(async () => void (await child.kill()));
  let output = "";
  let errors = "";
  child.process.stdout?.setEncoding("utf8").on("data", (text: string) => (output = (output + text).slice(-1000)));
  child.process.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const acked = (): number => Number(output.match(/acked (\d+)\n(?!.*acked \d+\n)/s)?.[1] ?? 0);
  await waitFor("the ingress is ready", () => {
    if (!child.running()) throw new Error(`the ingress ended: ${errors}`);
    return output.includes("acked") || output.includes("ready");
  });
  return { acked, kill: () => child.kill("SIGKILL"), stop: () => child.stop() };
}

for (const qos of [1, 2] as const) {
  test(`QoS ${qos}: ${KILLS} kill -9 of the ingress under load lose no message that the broker had acknowledged`, { skip }, async (t) => {
    const { url } = await startMosquitto(t);
    const dir = tempDir(t, "ingress-kill");
    const client = await publisher(t, url);
    const acknowledged = new Set<string>();
    const load = { next: 0, underWay: 0 };
    const publishSome = (): void => {
      for (let i = 0; i < 10 && load.underWay < MAX_UNDER_WAY; i++) {
        const n = load.next++;
        load.underWay++;
        client.publish(`t/demo/d/${n % DEVICES}/telemetry`, String(n), { qos }, (error) => {
          load.underWay--;
          if (!error) acknowledged.add(String(n));
        });
      }
    };
    let child = await startChild(t, url, dir);
    // 2,000 a second: what waits while the ingress is away stays short enough for Mosquitto, which gets slow with a long queue.
    const timer = setInterval(publishSome, 5);
    t.after(() => clearInterval(timer));
    for (let kill = 0; kill < KILLS; kill++) {
      await waitFor("the ingress is in full flow", () => child.acked() > 300 + 200 * kill, { intervalMs: 3 });
      await child.kill();
      child = await startChild(t, url, dir);
    }
    clearInterval(timer);
    await waitFor("the publisher is done", () => load.underWay === 0);
    // Ingress and reader take turns at the directory: until all is there, or the deadline says that something is lost.
    const arrived = await waitFor(
      "every acknowledged message in the raw topic",
      async () => {
        await child.stop();
        const log = await openLog(t, dir);
        const raw = await readTopic(log, "raw");
        await log.close();
        const values = new Set(raw.map(({ value }) => value));
        if ([...acknowledged].every((value) => values.has(value))) return raw;
        child = await startChild(t, url, dir);
        const before = child.acked();
        await waitFor("progress", () => child.acked() > before);
        return undefined;
      },
      { deadlineMs: 30_000 },
    );
    assert.ok(acknowledged.size > 1000, `${acknowledged.size} messages`);
    const distinct = new Set(arrived.map(({ value }) => value));
    assert.deepEqual(sorted(distinct), sorted(acknowledged));
    // Redelivery may double, but a device's messages come in order the first time.
    for (let device = 0; device < DEVICES; device++) {
      const first = [...new Set(arrived.filter(({ key }) => key === `demo|${device}`).map(({ value }) => Number(value)))];
      assert.deepEqual(
        first,
        [...first].sort((a, b) => a - b),
        `order of device ${device}`,
      );
    }
    t.diagnostic(`${acknowledged.size} acknowledged, ${arrived.length - distinct.size} doubled by redelivery`);
  });
}
