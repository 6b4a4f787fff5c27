import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { connectAsync } from "mqtt";
import { startEmbeddedBroker } from "../../../bridge/embedded-broker.ts";
import { runSimulate, type SimulateOptions } from "../../../cli/simulate/command.ts";
import { waitFor } from "../../support/wait-for.ts";

const NOW = 1_767_225_600_000;

/** Runs the command against a broker and returns its result and the payloads that arrived. */
async function simulate(t: TestContext, options: Omit<SimulateOptions, "url" | "tenant" | "qos">, now = NOW) {
  const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  t.after(() => broker.close());
  const client = await connectAsync(broker.url, { timerVariant: "native" });
  t.after(() => client.endAsync(true));
  const payloads: { bootId: string; seq: number; ts: number; tempC?: number }[] = [];
  await client.subscribeAsync("t/demo/d/+/telemetry", { qos: 1 });
  client.on("message", (_topic, payload) => payloads.push(JSON.parse(payload.toString()) as (typeof payloads)[number]));
  const progress: string[] = [];
  const io = { progress: (line: string) => progress.push(line), signal: new AbortController().signal, now: () => now };
  const result = await runSimulate({ url: broker.url, tenant: "demo", qos: 1, ...options }, io);
  await waitFor("all delivered", () => payloads.length === result.sent);
  return { result, payloads, progress };
}

test("a fleet as fast as possible: all is sent, acknowledged and counted", async (t) => {
  const { result, payloads, progress } = await simulate(t, { count: 300, rate: 0, devices: 3 });
  assert.equal(result.sent, 300);
  assert.equal(new Set(payloads.map(({ bootId }) => bootId)).size, 1);
  assert.match(progress.at(-1) ?? "", /^300 messages sent/);
});

test("a second run is not taken for duplicates of the first: its boot ids are others", async (t) => {
  const first = await simulate(t, { count: 5, rate: 0 });
  const second = await simulate(t, { count: 5, rate: 0 }, NOW + 1);
  assert.notEqual(first.payloads[0].bootId, second.payloads[0].bootId);
});

test("a recording moved to now ends now", async (t) => {
  const csv = new URL("../../../examples/data/nab/machine_temperature_system_failure.csv", import.meta.url).pathname;
  const { payloads } = await simulate(t, { csv, count: 50, speed: 0, toNow: true });
  assert.equal(payloads.length, 50);
  const times = payloads.map(({ ts }) => ts).sort((a, b) => a - b);
  assert.equal(times[49], NOW);
  assert.equal(times[0], NOW - 49 * 300_000);
  assert.ok(payloads.every(({ tempC }) => typeof tempC === "number"));
});

test("options that make no sense are refused before anything is sent", async (t) => {
  await assert.rejects(simulate(t, { count: 5, duplicates: 2 }), RangeError);
});
