import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MAX_RESULTS, type ShadowDocument } from "../../../processors/formats/shadow.ts";
import { jobSettingsSchema } from "../../../processors/settings.ts";
import { buildTelemetryTopology } from "../../../processors/telemetry-topology.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { ShadowDriver } from "./shadow-driver.ts";

test("without shadow.enabled the topology is telemetry's alone; with it, shadows are a sub-topology of their own", () => {
  const [off, on] = [false, true].map((enabled) => buildTelemetryTopology(jobSettingsSchema.parse({ shadow: { enabled } })));
  assert.equal(off.subtopologies.length, 1);
  assert.equal(on.subtopologies.length, 2);
  assert.deepEqual(
    on.subtopologies[1].stores.map(({ name }) => name),
    ["shadows"],
  );
  assert.deepEqual(on.subtopologies[0].stores, off.subtopologies[0].stores);
});

test("desired is patched, the device reports, and the delta is what is between them; versions go up by one", async (t) => {
  const shadow = await ShadowDriver.start(t);
  const [first] = shadow.want({ id: "a", state: { interval: 5, led: { on: true, color: "red" } } });
  assert.deepEqual(first, {
    document: {
      v: 1,
      tenant: "demo",
      deviceId: "d1",
      version: 1,
      desired: { interval: 5, led: { on: true, color: "red" } },
      reported: {},
      delta: { interval: 5, led: { on: true, color: "red" } },
      metadata: { desired: { interval: 1000, led: { on: 1000, color: 1000 } }, reported: {} },
      ts: 1000,
    } satisfies ShadowDocument,
    headers: { "shadow.request": "a", "shadow.outcome": "applied" },
  });
  shadow.now = 2_000;
  const [second] = shadow.device("reported", { state: { interval: 5, led: { on: true } } });
  assert.deepEqual([second.document?.version, second.document?.delta, second.headers], [2, { led: { color: "red" } }, {}]);
  const [third] = shadow.device("reported", { state: { led: { color: "red" } } });
  assert.deepEqual([third.document?.version, third.document?.delta], [3, undefined]);
  const [fourth] = shadow.want({ state: { led: null } });
  assert.deepEqual([fourth.document?.version, fourth.document?.desired], [4, { interval: 5 }]);
  assert.deepEqual(fourth.document?.metadata.desired, { interval: 1000 });
});

test("an update that changes nothing has no version of its own; whoever asked is told all the same", async (t) => {
  const shadow = await ShadowDriver.start(t);
  shadow.want({ state: { a: 1 } });
  assert.deepEqual(shadow.device("reported", { state: { b: 1 } }).length, 1);
  assert.deepEqual(shadow.device("reported", { state: { b: 1 } }), []);
  const [again] = shadow.want({ id: "same", state: { a: 1 } });
  assert.deepEqual([again.document?.version, again.headers["shadow.outcome"]], [2, "applied"]);
});

test("replace makes the desired state what it says, without its nulls; the reported one stays", async (t) => {
  const shadow = await ShadowDriver.start(t);
  shadow.want({ state: { a: 1, b: 2 } });
  shadow.device("reported", { state: { a: 1 } });
  const [said] = shadow.want({ op: "replace", state: { c: 3, d: null } });
  assert.deepEqual([said.document?.desired, said.document?.reported, said.document?.version], [{ c: 3 }, { a: 1 }, 3]);
});

test("a request for another version is a conflict and changes nothing", async (t) => {
  const shadow = await ShadowDriver.start(t);
  shadow.want({ state: { a: 1 }, ifVersion: 0 });
  const [conflict] = shadow.want({ id: "late", state: { a: 2 }, ifVersion: 0 });
  assert.deepEqual([conflict.document?.version, conflict.document?.desired, conflict.headers["shadow.outcome"]], [1, { a: 1 }, "conflict"]);
  assert.deepEqual(shadow.row()?.results.at(-1), { id: "late", outcome: "conflict", version: 1 });
  assert.equal(shadow.want({ state: { a: 2 }, ifVersion: 1 })[0].document?.version, 2);
});

test("a deleted shadow is gone from the topic, and its versions go on where they were", async (t) => {
  const shadow = await ShadowDriver.start(t);
  shadow.want({ state: { a: 1 } });
  const [gone] = shadow.want({ id: "bye", op: "delete" });
  assert.deepEqual(gone, {
    document: undefined,
    headers: { "shadow.request": "bye", "shadow.outcome": "applied", "shadow.version": "2" },
  });
  assert.deepEqual([shadow.row()?.exists, shadow.row()?.version], [false, 2]);
  assert.equal(shadow.want({ state: { a: 1 } })[0].document?.version, 3);
});

test("the same id again is the same update, of people and of devices, among the last of a shadow", async (t) => {
  const shadow = await ShadowDriver.start(t);
  shadow.want({ id: "x", state: { a: 1 } });
  shadow.want({ id: "y", state: { a: 2 } });
  const [again] = shadow.want({ id: "x", state: { a: 1 } });
  assert.deepEqual([again.headers, again.document?.version], [{ "shadow.request": "x", "shadow.outcome": "applied" }, 2]);
  shadow.device("reported", { id: "m1", state: { a: 1 } });
  shadow.device("reported", { id: "m2", state: { a: 2 } });
  assert.deepEqual(shadow.device("reported", { id: "m1", state: { a: 1 } }), []);
  assert.deepEqual([shadow.row()?.version, shadow.row()?.state?.desired, shadow.row()?.state?.reported], [4, { a: 2 }, { a: 2 }]);
  for (let i = 0; i < MAX_RESULTS + 5; i++) shadow.want({ state: { n: i } });
  assert.equal(shadow.row()?.results.length, MAX_RESULTS);
});

test("a device that asks gets its shadow as it is, or the version of none; asking changes nothing, and makes no document", async (t) => {
  const shadow = await ShadowDriver.start(t);
  const [nothing] = shadow.device("get", "");
  assert.deepEqual(nothing, { document: undefined, headers: { "shadow.asked": "true", "shadow.version": "0" } });
  assert.equal(shadow.row(), undefined);
  shadow.want({ state: { a: 1 } });
  const [asked] = shadow.device("get", "whatever");
  assert.deepEqual([asked.document?.version, asked.document?.delta], [1, { a: 1 }]);
  shadow.want({ op: "delete" });
  assert.deepEqual(shadow.device("get", ""), [{ document: undefined, headers: { "shadow.asked": "true", "shadow.version": "2" } }]);
});

test("a device's bytes are never a request, and count for the device of the topic only", async (t) => {
  const shadow = await ShadowDriver.start(t);
  const request = { v: 1, id: "evil", tenant: "demo", deviceId: "d1", op: "patch", state: { a: 1 } };
  assert.deepEqual(
    shadow.device("reported", request).map(({ headers }) => headers["shadow.rejected"]),
    ["schema"],
  );
  assert.deepEqual(shadow.device("reported", { state: { a: 1 } }, "t/demo/d/d2/shadow/reported"), []);
  assert.deepEqual(shadow.device("reported", { state: { a: 1 } }, "t/demo/d/d1/shadow/desired"), []);
  assert.deepEqual(shadow.want({ deviceId: "d2", state: { a: 1 } }), []);
  assert.deepEqual(shadow.want({ state: { a: 1 } }, "demo"), []);
  assert.deepEqual(shadow.deadLetters(), ["schema", "device-mismatch", "device-mismatch", "device-mismatch", "bad-topic"]);
  assert.equal(shadow.row(), undefined);
});

test("what the broker only remembers is no report", async (t) => {
  const shadow = await ShadowDriver.start(t);
  assert.deepEqual(shadow.device("reported", { state: { a: 1 } }, undefined, "1"), []);
  assert.deepEqual([shadow.row(), shadow.deadLetters()], [undefined, []]);
});

test("what is no update is a dead letter, and its device is told: bytes, names, depth, numbers, size", async (t) => {
  const shadow = await ShadowDriver.start(t);
  const deep = (levels: number): object => (levels === 0 ? {} : { a: deep(levels - 1) });
  const wrong: [string | Buffer | null, string][] = [
    [null, "empty"],
    ["", "empty"],
    [Buffer.from([0x22, 0xff, 0x22]), "not-json"],
    ["{", "not-json"],
    ["[]", "schema"],
    ['{"state":{"__proto__":{"polluted":true}}}', "schema"],
    ['{"state":{"a\\\\b":1}}', "schema"],
    ['{"state":{"a":1e400}}', "schema"],
    ['{"state":{"a":"\\ud800"}}', "schema"],
    ['{"state":{"":1}}', "schema"],
    ['{"state":7}', "schema"],
    ['{"state":{},"version":7}', "schema"],
    [JSON.stringify({ state: deep(8) }), "schema"],
    [`{"state":{"a":${"[".repeat(10_000)}${"]".repeat(10_000)}}}`, "schema"],
    [JSON.stringify({ state: Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`n${i}`, i])) }), "schema"],
    [JSON.stringify({ state: { a: "x".repeat(33_000) } }), "too-large"],
    [JSON.stringify({ state: { a: "x".repeat(8_200) } }), "too-large"],
  ];
  const headers = { "mqtt.topic": "t/demo/d/d1/shadow/reported" };
  for (const [value, reason] of wrong) {
    shadow.now += 1_000;
    const [said, ...more] = shadow.pipe(value, headers);
    assert.deepEqual([said.document, said.headers["shadow.rejected"], more], [undefined, reason, []], String(value).slice(0, 60));
    assert.deepEqual(shadow.deadLetters(), [reason], String(value).slice(0, 60));
  }
  assert.equal(shadow.row(), undefined);
  assert.equal(shadow.device("reported", { state: deep(7) })[0].document?.version, 1);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

test("a desired state over its limit is refused, told, and leaves the shadow as it was", async (t) => {
  const shadow = await ShadowDriver.start(t, { maxBytes: 100 });
  shadow.want({ state: { a: "x".repeat(60) } });
  const [said] = shadow.want({ id: "big", state: { b: "x".repeat(60) } });
  assert.deepEqual([said.headers["shadow.outcome"], said.document?.version], ["too-large", 1]);
  assert.equal(shadow.want({ state: { a: null, b: "x".repeat(60) } })[0].headers["shadow.outcome"], "applied");
});

test("rows survive a restart as they were", async (t) => {
  const state = { engine: "level" as const, directory: tempDir(t, "shadow") };
  const first = await ShadowDriver.start(t, {}, { state });
  first.want({ id: "r", state: { a: [1, { b: "é" }] } });
  first.device("reported", { id: "m", state: { c: -1.5 } });
  first.want({ id: "old", state: { a: 1 }, ifVersion: 7 });
  const row = first.row();
  await first.stop();
  const second = await ShadowDriver.start(t, {}, { state });
  assert.deepEqual(second.row(), row);
});

test("whatever comes in whatever order, versions have no gap and the last document is the row", async (t) => {
  const step = fc.oneof(
    fc.record({
      of: fc.constant("want"),
      op: fc.constantFrom("patch", "replace"),
      n: fc.integer({ min: 0, max: 3 }),
      ifVersion: fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined }),
    }),
    fc.record({ of: fc.constant("delete") }),
    fc.record({ of: fc.constant("report"), n: fc.integer({ min: 0, max: 3 }), id: fc.constantFrom("m1", "m2", undefined) }),
    fc.record({ of: fc.constant("get") }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const shadow = await ShadowDriver.start(t);
      let version = 0;
      for (const made of steps) {
        const {
          of,
          op = "patch",
          n = 0,
          ifVersion,
          id,
        } = made as { of: string; op?: "patch"; n?: number; ifVersion?: number; id?: string };
        const before = shadow.row();
        const said =
          of === "want"
            ? shadow.want({ op, state: { [`k${n % 2}`]: n }, ifVersion })
            : of === "delete"
              ? shadow.want({ op: "delete", state: undefined })
              : shadow.device(of === "get" ? "get" : "reported", { id, state: { [`k${n % 2}`]: n } });
        const row = shadow.row();
        const moved = (row?.version ?? 0) - version;
        assert.ok(moved === 0 || moved === 1);
        if (moved === 0) assert.deepEqual(row?.state, before?.state);
        for (const { document } of said) if (document !== undefined) assert.equal(document.version, row?.version ?? 0);
        version += moved;
      }
    }),
    { numRuns: 60 },
  );
});
