import assert from "node:assert/strict";
import { test } from "node:test";
import { telemetryTopic } from "../../../bridge/device-topic.ts";
import { TopicTemplates } from "../../../bridge/topic-templates.ts";

const templates = new TopicTemplates();
const parseTelemetryTopic = (topic: string) => templates.parse(topic);

test("a telemetry topic names tenant and device", () => {
  assert.deepEqual(parseTelemetryTopic("t/demo/d/device-123/telemetry"), { tenant: "demo", deviceId: "device-123" });
  assert.deepEqual(parseTelemetryTopic(telemetryTopic("ü", "デ")), { tenant: "ü", deviceId: "デ" });
});

test("anything else is no telemetry topic", () => {
  const longId = "x".repeat(257);
  const wrong = [
    "",
    "t",
    "t/demo/d/a",
    "t/demo/d/a/telemetry/",
    "t/demo/d/a/telemetry/x/y/z",
    "t/demo/d/a/state",
    "x/demo/d/a/telemetry",
    "t/demo/x/a/telemetry",
    "t//d/a/telemetry",
    "t/demo/d//telemetry",
    "t/de|mo/d/a/telemetry",
    "t/demo/d/a|b/telemetry",
    `t/demo/d/${longId}/telemetry`,
    `t/demo/d/${"ü".repeat(129)}/telemetry`,
    "/t/demo/d/a/telemetry",
  ];
  for (const topic of wrong) assert.equal(parseTelemetryTopic(topic), undefined, topic);
});

test("an id of 256 UTF-8 bytes is the longest", () => {
  assert.notEqual(parseTelemetryTopic(`t/demo/d/${"ü".repeat(128)}/telemetry`), undefined);
});
