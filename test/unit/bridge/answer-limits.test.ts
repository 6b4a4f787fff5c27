/** Limits at ingress of what is no telemetry: answers to commands, reports to shadows, states. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeviceGate } from "../../../bridge/admission/gate.ts";
import { ADMISSION_DEFAULTS, answerRateOf, hasLimits, type AdmissionSettings } from "../../../bridge/admission/settings.ts";
import type { Route } from "../../../bridge/route-cache.ts";
import { rejectionOf } from "../../../bridge/shadow/refused-report.ts";
import type { Rejection } from "../../../bridge/shadow/rejection.ts";
import { BOUNDS, Fixture, testAdmission, type TestMessage } from "./forwarder-fixture.ts";

const ANSWERS = ["cmd/ack", "shadow/reported", "shadow/get"] as const;
const TARGETS = { acks: "acks", acksPartitions: 4, shadow: "shadow", shadowPartitions: 4 };
/** Of a telemetry flood in these tests: hardly a message gets through. */
const LIMIT = { perSecond: 0.001, burst: 1 } as const;

/** Counts what comes through, and takes states. */
class Doors {
  readonly admission: ReturnType<typeof testAdmission>;
  readonly f: Fixture;
  /** What presence is told, by device. */
  readonly states: string[] = [];
  readonly seen: string[] = [];
  /** Devices that are told of a refused report. */
  readonly told: Rejection[] = [];
  #id = 0;

  constructor(settings: Partial<AdmissionSettings>, devices?: DeviceGate) {
    this.admission = testAdmission(settings, devices);
    const presence = {
      seen: ({ deviceKey }: Route) => void this.seen.push(deviceKey),
      state: ({ deviceKey }: Route) => void this.states.push(deviceKey),
    };
    this.f = new Fixture({ windowMessages: 60_000, windowBytes: 1 << 28 }, this.admission, {
      targets: TARGETS,
      presence,
      refusedReports: (message, route, code) => void this.told.push(rejectionOf(message, route, code)),
    });
    this.f.writer.auto = true;
  }

  send(door: string, times: number, device = "a", tenant = "demo", changes: Partial<TestMessage> = {}): void {
    for (let i = 0; i < times; i++) assert.ok(this.f.take(++this.#id, { topic: `t/${tenant}/d/${device}/${door}`, ...changes }));
  }

  written(topic: string): number {
    return this.f.writer.sent.filter((record) => record.topic === topic).length;
  }

  counts(): string[] {
    return this.admission.gate.counts.list().map(({ action, reason, count }) => `${action} ${reason} ${count}`);
  }
}

for (const policy of ["shed", "drop", "delay"] as const) {
  test(`${policy}: a flood of the device's telemetry delays none of its answers and reports, and none is shed or dropped`, () => {
    const doors = new Doors({ deviceRate: { ...LIMIT, policy } });
    doors.send("telemetry", 1000);
    for (const answer of ANSWERS) doors.send(answer, 10);
    assert.deepEqual([doors.written("acks"), doors.written("shadow")], [10, 20], "written in place");
    assert.ok(doors.counts().every((count) => count.includes(" device-rate ")));
    doors.f.forwarder.releaseHeld();
  });

  test(`${policy}: a flood of a tenant's telemetry delays no answer of its devices`, () => {
    const doors = new Doors({ tenantRate: { ...LIMIT, burst: 30, policy } });
    doors.send("telemetry", 1000, "noisy");
    for (const answer of ANSWERS) doors.send(answer, 10);
    assert.deepEqual([doors.written("acks"), doors.written("shadow")], [10, 20]);
    doors.f.forwarder.releaseHeld();
  });
}

test("a flood of answers is limited by itself, counted by its own reason, and takes no token of telemetry", () => {
  const doors = new Doors({ deviceRate: { perSecond: 1, burst: 10, policy: "shed" } });
  doors.send("cmd/ack", 500);
  doors.send("shadow/reported", 500);
  assert.deepEqual([doors.written("acks"), doors.written("shadow"), doors.written("shed")], [100, 0, 900]);
  doors.send("telemetry", 10);
  assert.equal(doors.written("raw"), 10, "its own burst is whole");
  doors.send("cmd/ack", 1, "b");
  assert.equal(doors.written("acks"), 101, "another device's answers are not its");
  doors.admission.nowMs += 1000;
  doors.send("cmd/ack", 50);
  assert.equal(doors.written("acks"), 121, "20 a second after that");
});

test("a shed answer has its reason and says by its headers what it was", async () => {
  const doors = new Doors({ answerRate: { ...LIMIT, policy: "shed" } });
  doors.send("cmd/ack", 2);
  const { topic, key, headers } = doors.f.writer.sent[1];
  assert.deepEqual([topic, key, headers["shed.reason"], headers["mqtt.topic"]], ["shed", "demo|a", "answer-rate", "t/demo/d/a/cmd/ack"]);
  await doors.f.settled();
  assert.deepEqual(doors.counts(), ["shed answer-rate 1"]);
  doors.send("telemetry", 100);
  assert.equal(doors.written("raw"), 100, "answers alone are limited");
});

test("answers over their limit go by its policy: dropped in their turn, or delayed in their order", async () => {
  const dropped = new Doors({ answerRate: { ...LIMIT, policy: "drop" } });
  dropped.send("shadow/reported", 3);
  await dropped.f.settled();
  assert.deepEqual([dropped.written("shadow"), dropped.counts(), dropped.f.acks.length], [1, ["drop answer-rate 2"], 3]);

  const delayed = new Doors({ answerRate: { perSecond: 10, burst: 1, policy: "delay" } });
  delayed.send("shadow/reported", 3);
  assert.equal(delayed.written("shadow"), 1);
  delayed.admission.nowMs += 200;
  delayed.send("telemetry", 1);
  assert.deepEqual(
    delayed.f.writer.sent.map(({ value }) => value.toString()),
    ['{"seq":1}', '{"seq":2}', '{"seq":3}', '{"seq":4}'],
  );
});

test("a held answer of a lost connection gives its own token back, and none of telemetry", () => {
  const doors = new Doors({
    answerRate: { perSecond: 10, burst: 1, policy: "delay" },
    deviceRate: { perSecond: 10, burst: 1, policy: "drop" },
  });
  doors.send("cmd/ack", 2);
  doors.send("telemetry", 1);
  doors.f.forwarder.connectionLost();
  doors.send("telemetry", 1);
  assert.equal(doors.written("raw"), 1, "no second token");
  doors.admission.nowMs += 100;
  doors.send("cmd/ack", 1);
  assert.equal(doors.written("acks"), 2, "no one waits before it");
});

test("a tenant's answers together are limited as its telemetry is, so that many devices are no way around it", async () => {
  const doors = new Doors({ tenantRate: { perSecond: 0.001, burst: 50, policy: "shed" } });
  for (let device = 0; device < 100; device++) doors.send("cmd/ack", 1, `d${device}`);
  await doors.f.settled();
  assert.deepEqual([doors.written("acks"), doors.counts()], [50, ["shed tenant-answer-rate 50"]]);
  doors.send("telemetry", 50);
  assert.equal(doors.written("raw"), 50);
  doors.send("cmd/ack", 1, "a", "quiet");
  assert.equal(doors.written("acks"), 51, "another tenant's answers have their own");
});

test("states: a flood of one device is dropped beyond its answers' limit, and a whole fleet's at once are all taken", () => {
  const doors = new Doors({
    tenantRate: { perSecond: 0.001, burst: 1, policy: "shed" },
    deviceRate: { perSecond: 0.001, burst: 1, policy: "delay" },
  });
  doors.send("telemetry", 100);
  for (let device = 0; device < 1000; device++) doors.send("state", 1, `d${device}`);
  assert.equal(doors.states.length, 1000);
  doors.send("state", 500, "flapping");
  assert.equal(doors.states.length, 1100);
  assert.ok(doors.counts().includes("drop answer-rate 400"), doors.counts().join());
  assert.equal(doors.f.writer.sent.length, doors.written("raw") + doors.written("shed"), "no state is written anywhere");
  doors.f.forwarder.releaseHeld();
});

test("states of a device that the registry stops are neither followed nor silent: they are counted", () => {
  const doors = new Doors({}, { verdict: ({ deviceKey }) => (deviceKey === "demo|a" ? "shed" : "pass"), reason: "denied-device" });
  doors.send("state", 3);
  doors.send("state", 1, "b");
  assert.deepEqual([doors.states, doors.counts(), doors.f.writer.sent.length], [["demo|b"], ["drop denied-device 3"], 0]);
});

test("an answer is a sign of life, over its limit too", () => {
  const doors = new Doors({ answerRate: { ...LIMIT, policy: "drop" } });
  doors.send("cmd/ack", 2);
  assert.deepEqual(doors.seen, ["demo|a", "demo|a"]);
});

test("a device is told of its reports that are not let in, and why; not of its answers, its telemetry or what is retained", () => {
  const doors = new Doors(
    { answerRate: { ...LIMIT, policy: "shed" }, maxPayload: { bytes: 500, policy: "dead-letter" } },
    { verdict: ({ deviceKey }) => (deviceKey === "demo|denied" ? "drop" : "pass"), reason: "denied-device" },
  );
  const correlation = Buffer.from([1, 0, 2]);
  doors.send("shadow/reported", 1);
  assert.equal(doors.told.length, 0);
  for (const door of ["cmd/ack", "telemetry"]) doors.send(door, 2, "denied");
  doors.send("cmd/ack", 2);
  doors.send("shadow/reported", 1, "a", "demo", { retain: true });
  doors.send("shadow/reported", 1, "retained", "demo", { retain: true, payload: Buffer.alloc(501) });
  assert.equal(doors.told.length, 0);
  doors.send("shadow/reported", 1, "a", "demo", { correlation });
  doors.send("shadow/get", 1, "denied", "demo", { correlation: Buffer.alloc(129) });
  doors.send("shadow/reported", 1, "b", "demo", { payload: Buffer.alloc(501) });
  doors.send("shadow/reported", 1, "c", "demo", { payload: Buffer.alloc(BOUNDS.maxValueBytes + 1) });
  assert.deepEqual(
    doors.told.map(({ tenant, deviceId, code }) => `${tenant} ${deviceId} ${code}`),
    ["demo a answer-rate", "demo denied denied-device", "demo b too-large", "demo c too-large"],
  );
  assert.deepEqual([doors.told[0].correlation, doors.told[1].correlation], [correlation, undefined]);
  assert.ok(Math.abs(Date.now() - doors.told[0].ts) < 60_000);
});

const rate = (perSecond: number, burst: number, policy: "delay" | "shed" | "drop") => ({ perSecond, burst, policy });
const DEFAULTS: readonly (readonly [Partial<AdmissionSettings>, ReturnType<typeof answerRateOf>])[] = [
  [{}, undefined],
  [{ maxPayload: { bytes: 10, policy: "shed" } }, undefined],
  [{ deviceRate: rate(1, 1, "delay") }, rate(20, 100, "delay")],
  [{ deviceRate: rate(50, 60, "drop"), tenantRate: rate(1, 1, "shed") }, rate(50, 100, "drop")],
  [{ tenantRate: rate(500, 600, "drop") }, rate(20, 100, "drop")],
  [{ deviceRate: rate(50, 60, "drop"), answerRate: rate(1, 2, "shed") }, rate(1, 2, "shed")],
];

test("answers are limited as soon as a rate limits telemetry, never below their default, and as it says where it is set", () => {
  for (const [settings, expected] of DEFAULTS)
    assert.deepEqual(answerRateOf({ ...ADMISSION_DEFAULTS, ...settings }), expected, JSON.stringify(settings));
  const all = { ...ADMISSION_DEFAULTS, answerRate: rate(1, 1, "shed") };
  assert.deepEqual(answerRateOf(all, { answerRate: rate(2, 2, "drop") }), rate(2, 2, "drop"), "a tenant's own replaces everybody's");
  assert.ok(hasLimits(all));
});
