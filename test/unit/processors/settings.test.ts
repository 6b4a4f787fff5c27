import assert from "node:assert/strict";
import { test } from "node:test";
import { jobSettingsSchema } from "../../../processors/settings.ts";

test("nothing set: the documented defaults", () => {
  const settings = jobSettingsSchema.parse({});
  assert.deepEqual(settings.windows, [{ type: "tumbling", sizeMs: 10_000, graceMs: 30_000, time: "device", idleMs: 60_000 }]);
  assert.deepEqual(settings.validation, { maxFutureMs: 300_000, maxValueBytes: 1_000_000 });
  assert.equal(settings.topics.raw, "iot.telemetry.raw");
  assert.equal(settings.processing.idleCloseMs, 0);
  assert.deepEqual([settings.rules, settings.profiles, settings.schemaRegistry], [[], [], undefined]);
});

const wrong: readonly [object, string][] = [
  [{ windows: [{ sizeMs: 0 }] }, "windows.0.sizeMs"],
  [{ windows: [{ sizeMs: 10, time: "server" }] }, "windows.0.time"],
  [{ windows: [{ sizeMs: 10 }, { sizeMs: 10 }] }, "windows.1.sizeMs"],
  [{ windows: [{ sizeMs: 10, idleMs: 50 }], dedupe: { idleMs: 10 } }, "windows.0.idleMs"],
  [{ windows: [{ sizeMs: 10, graze: 5 }] }, "windows.0"],
  [{ rules: [{ name: "r", metric: "m" }] }, "rules.0.above"],
  [{ rules: [{ name: "r", metric: "m", above: 1, below: 2 }] }, "rules.0.above"],
  [{ rules: [{ name: "r", metric: "m", above: 1, clearBelow: 2 }] }, "rules.0.clearBelow"],
  [{ rules: [{ name: "r", metric: "m", above: 1, clearAbove: 2 }] }, "rules.0.clearAbove"],
  [
    {
      rules: [
        { name: "r", metric: "m", above: 1 },
        { name: "r", metric: "m", above: 1 },
      ],
    },
    "rules.1.name",
  ],
  [{ profiles: [{ name: "p", fields: { a: { metric: "x", ignore: true } } }] }, "profiles.0.fields.a"],
  [{ topics: { normalized: "iot.telemetry.raw" } }, "topics.normalized"],
  [{ topics: { raw: "no spaces" } }, "topics.raw"],
  [{ schemaRegistry: { url: "registry:8081" } }, "schemaRegistry.url"],
  [{ dedupe: { boots: 0 } }, "dedupe.boots"],
];

for (const [settings, path] of wrong) {
  test(`${JSON.stringify(settings)} is refused at ${path}`, () => {
    const result = jobSettingsSchema.safeParse(settings);
    assert.deepEqual(
      result.error?.issues.map((issue) => issue.path.join(".")),
      [path],
    );
  });
}
