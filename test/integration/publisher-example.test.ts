import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startEmbeddedBroker } from "../../bridge/embedded-broker.ts";
import type { DeviceStateRecord } from "../../processors/formats/records.ts";
import { need } from "../support/need.ts";
import { pythonWithPaho } from "../support/python-paho.ts";
import { runCommand } from "../support/run-command.ts";
import { spawnCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeIngress } from "../unit/bridge/ingress-fixture.ts";
import { openLog, readTopic } from "./ingress-support.ts";

const skip = await need("python-paho");
const PYTHON = pythonWithPaho() ?? "python3";
const PUBLISHER = fileURLToPath(new URL("../../examples/publisher.py", import.meta.url));

test("the tutorial's publisher reaches the raw topic through broker and ingress", { skip }, async (t) => {
  const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  t.after(() => broker.close());
  const log = await openLog(t);
  const ingress = makeIngress(t, log, { url: broker.url, protocolVersion: 4, qos: 1 });
  await ingress.start();
  const { port } = new URL(broker.url);
  const run = await runCommand(PYTHON, [PUBLISHER, "--port", port, "--count", "3", "--interval", "0.01"], { timeoutMs: 20_000 });
  assert.equal(run.code, 0, run.stderr);
  await ingress.stop();
  const raw = await readTopic(log, "raw");
  const payloads = raw.map(({ value }) => JSON.parse(value) as Record<string, unknown>);
  assert.deepEqual(
    payloads.map(({ seq }) => seq),
    [0, 1, 2],
  );
  assert.deepEqual(Object.keys(payloads[0]), ["deviceId", "ts", "seq", "tempC", "rpm"]);
  assert.ok(raw.every(({ key }) => key === "demo|device-123"));
});

test("its device and last value are over HTTP within 2 s of the publish, on a demo that was just started", { skip }, async (t) => {
  const config = { mqtt: { url: "mqtt://127.0.0.1:0" }, http: { port: 0 }, state: { dir: tempDir(t, "publisher") } };
  const demo = await spawnCli(t, ["demo", "--json"], { config });
  const [line] = await demo.waitForOutput(/^\{.*"event":"running".*\}$/m, 60_000);
  const { api, mqtt } = JSON.parse(line) as { api: string; mqtt: string };
  const watched = waitFor("the device's third message over HTTP", () => seenAfter(`${api}/device-123`, 2), { deadlineMs: 30_000 });
  const arguments_ = [PUBLISHER, "--port", new URL(mqtt).port, "--count", "3", "--interval", "0.05"];
  const [shown, run] = await Promise.all([watched, runCommand(PYTHON, arguments_, { timeoutMs: 20_000 })]);
  assert.equal(run.code, 0, run.stderr);
  const sent = JSON.parse(String(run.stdout).trim().split("\n")[2].replace(/^\S+ /, "")) as { ts: number; tempC: number; rpm: number };
  const { temperature_c, rotation_rpm } = shown.device.metrics;
  assert.deepEqual([shown.device.ts, temperature_c.value, rotation_rpm.value], [sent.ts, sent.tempC, sent.rpm]);
  const tookMs = shown.at - sent.ts;
  t.diagnostic(`${tookMs} ms from the reading to its value over HTTP`);
  assert.ok(tookMs <= 2_000, `${tookMs} ms`);
});

/** The device as HTTP shows it once it has message `seq`, and when that was (epoch ms). */
async function seenAfter(url: string, seq: number): Promise<{ device: DeviceStateRecord; at: number } | undefined> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) });
  if (!answer.ok) return undefined;
  const device = (await answer.json()) as DeviceStateRecord;
  return device.seq === seq ? { device, at: Date.now() } : undefined;
}

test("a broker that is not there is a message and exit code 1", { skip }, async () => {
  const run = await runCommand(PYTHON, [PUBLISHER, "--port", "1", "--count", "1"], { timeoutMs: 20_000 });
  assert.equal(run.code, 1);
  assert.match(run.stderr, /cannot reach 127\.0\.0\.1:1/);
});
