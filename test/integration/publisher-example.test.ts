import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startEmbeddedBroker } from "../../bridge/embedded-broker.ts";
import { need } from "../support/need.ts";
import { runCommand } from "../support/run-command.ts";
import { makeIngress } from "../unit/bridge/ingress-fixture.ts";
import { openLog, readTopic } from "./ingress-support.ts";

const skip = await need("python-paho");
const PUBLISHER = fileURLToPath(new URL("../../examples/publisher.py", import.meta.url));

test("the tutorial's publisher reaches the raw topic through broker and ingress", { skip }, async (t) => {
  const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  t.after(() => broker.close());
  const log = await openLog(t);
  const ingress = makeIngress(t, log, { url: broker.url, protocolVersion: 4, qos: 1 });
  await ingress.start();
  const { port } = new URL(broker.url);
  const run = await runCommand("python3", [PUBLISHER, "--port", port, "--count", "3", "--interval", "0.01"], { timeoutMs: 20_000 });
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

test("a broker that is not there is a message and exit code 1", { skip }, async () => {
  const run = await runCommand("python3", [PUBLISHER, "--port", "1", "--count", "1"], { timeoutMs: 20_000 });
  assert.equal(run.code, 1);
  assert.match(run.stderr, /cannot reach 127\.0\.0\.1:1/);
});
