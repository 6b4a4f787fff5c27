import assert from "node:assert/strict";
import { test } from "node:test";
import { runChecks } from "../../../cli/doctor/finding.ts";
import { loadConfig } from "../../../cli/config/load.ts";
import { ageFindings, listenFindings, storeFindings } from "../../../cli/doctor/gateway-checks.ts";
import { brokerFindings, confFindings } from "../../../cli/doctor/mqtt-checks.ts";

test("a check that hangs or throws is an error of its own and hides no other", async () => {
  const findings = await runChecks(
    [
      { name: "hangs", run: () => new Promise(() => undefined) },
      { name: "throws", run: () => Promise.reject(new Error("no way in")) },
      { name: "works", run: () => Promise.resolve([{ severity: "ok", seen: "all well" }]) },
    ],
    30,
  );
  assert.deepEqual(
    findings.map(({ check, severity, seen }) => [check, severity, seen]),
    [
      ["hangs", "error", "no answer within 0.03 s"],
      ["throws", "error", "no way in"],
      ["works", "ok", "all well"],
    ],
  );
});

test("Mosquitto's own limits are too small and said so; those of deploy/mosquitto.conf's kind are not", () => {
  assert.deepEqual(
    confFindings("listener 1883\n").map(({ severity }) => severity),
    ["error", "warning"],
  );
  const good = "max_queued_messages 1000\nmax_queued_messages 5000000\nmax_queued_bytes 1000000000\nmax_inflight_messages 1000\n";
  assert.deepEqual(
    confFindings(good).map(({ severity }) => severity),
    ["ok"],
  );
});

test("messages that the broker dropped are a warning, and a counter that cannot be seen is said to be unseen", () => {
  const severities = (values: ReadonlyMap<string, string>, receiveMaximum?: number): string[] =>
    brokerFindings("b", { properties: { receiveMaximum } }, values).map(({ severity }) => severity);
  assert.deepEqual(severities(new Map([["$SYS/broker/publish/messages/dropped", "0"]])), ["ok"]);
  assert.deepEqual(severities(new Map([["$SYS/broker/publish/messages/dropped", "12"]]), 20), ["ok", "warning", "warning"]);
  assert.deepEqual(severities(new Map()), ["ok", "unseen"]);
});

test("a gateway that lets nobody in, or anybody, or whose store does not fit its disk or Kafka's retention, is told so", () => {
  const { config } = loadConfig(undefined, {});
  const { gateway } = config;
  const of = (change: { listen?: object; store?: object }) => ({
    ...config,
    gateway: { ...gateway, listen: { ...gateway.listen, ...change.listen }, store: { ...gateway.store, ...change.store } },
  });
  const severities = (findings: readonly { severity: string }[]): string[] => findings.map(({ severity }) => severity);
  assert.deepEqual(severities(listenFindings(config)), ["error"]);
  assert.deepEqual(severities(listenFindings(of({ listen: { anonymous: true } }))), ["ok"]);
  assert.deepEqual(severities(listenFindings(of({ listen: { anonymous: true, passwordsFile: "p", host: "0.0.0.0" } }))), [
    "warning",
    "warning",
  ]);
  assert.deepEqual(severities(ageFindings(config)), ["ok"]);
  assert.deepEqual(severities(ageFindings(of({ store: { maxAgeMs: 604_800_000 } }))), ["error"]);
  assert.deepEqual(severities(storeFindings(config, { free: 1e9, used: 1e9 })), ["ok"]);
  assert.deepEqual(severities(storeFindings(config, { free: 1e9, used: 1e8 })), ["error"]);
});
