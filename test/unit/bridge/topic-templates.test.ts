import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RouteCache } from "../../../bridge/route-cache.ts";
import { TopicTemplates, templateProblem } from "../../../bridge/topic-templates.ts";

test("templates name tenant and device wherever they stand; one without {tenant} brings its own", () => {
  const templates = new TopicTemplates([
    "t/{tenant}/d/{deviceId}/telemetry",
    "devices/{deviceId}/of/{tenant}/+/data",
    { template: "plant/{deviceId}/data", tenant: "acme" },
  ]);
  assert.deepEqual(templates.parse("t/x/d/y/telemetry"), { tenant: "x", deviceId: "y" });
  assert.deepEqual(templates.parse("devices/y/of/x/anything/data"), { tenant: "x", deviceId: "y" });
  assert.deepEqual(templates.parse("plant/press-7/data"), { tenant: "acme", deviceId: "press-7" });
  for (const topic of ["plant/press-7/data/x", "plant//data", "plant/a|b/data", "plant/press-7", "t/x/d/y/state"])
    assert.equal(templates.parse(topic), undefined, topic);
  assert.deepEqual(templates.filters(), ["t/+/d/+/telemetry", "devices/+/of/+/+/data", "plant/+/data"]);
});

test("a template that is none is refused, with what is wrong", () => {
  for (const wrong of [
    "t/{tenant}/telemetry",
    "t/{deviceId}/telemetry",
    "t/{tenant}/{deviceId}/{deviceId}",
    "t/{tenant}/x{deviceId}",
    "t/{tenant}/{deviceId}/#",
    "t/{tenant}/{deviceId}/{other}",
    { template: "t/{tenant}/{deviceId}", tenant: "acme" },
    { template: "t/{deviceId}", tenant: "a|b" },
  ])
    assert.notEqual(templateProblem(wrong), undefined, JSON.stringify(wrong));
  assert.throws(() => new TopicTemplates(["x"]), { code: "bad-settings" });
});

test("a record of another template carries the design's topic, which the worker checks against the key, and its own beside it", () => {
  const templates = new TopicTemplates([{ template: "plant/{deviceId}/data", tenant: "acme" }]);
  const route = new RouteCache({ raw: "raw", rawPartitions: 1, dlq: "dlq", dlqPartitions: 1 }, 10, templates).route("plant/p7/data");
  assert.equal(route.deviceKey, "acme|p7");
  assert.equal(route.topicHeader.value?.toString(), "t/acme/d/p7/telemetry");
  assert.deepEqual(
    [route.originalTopicHeader?.key, route.originalTopicHeader?.value?.toString()],
    ["mqtt.topic.original", "plant/p7/data"],
  );
});

test("whatever the topic, parsing ends, and what it finds makes a key of exactly two parts", () => {
  const templates = new TopicTemplates(["t/{tenant}/d/{deviceId}/telemetry", { template: "{deviceId}", tenant: "x" }]);
  const level = fc.oneof(fc.constantFrom("t", "d", "telemetry", "", "+", "#", "|"), fc.string({ unit: "binary" }));
  fc.assert(
    fc.property(fc.array(level, { maxLength: 8 }), (levels) => {
      const found = templates.parse(levels.join("/"));
      if (found === undefined) return;
      assert.equal(`${found.tenant}|${found.deviceId}`.split("|").length, 2);
      assert.ok(found.tenant !== "" && found.deviceId !== "");
    }),
  );
});
