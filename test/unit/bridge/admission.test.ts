/** Limits at ingress: what becomes of a message that its tenant or device has no token for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../../support/wait-for.ts";
import { Fixture, testAdmission } from "./forwarder-fixture.ts";

const topicOf = (tenant: string, device = "a"): string => `t/${tenant}/d/${device}/telemetry`;
const sentTo = (f: Fixture, topic: string): string[] =>
  f.writer.sent.filter((record) => record.topic === topic).map(({ key, value }) => `${key ?? ""} ${value.toString()}`);

test("shed: over the limit a message goes, with its reason and its raw headers, into the shed topic, is acknowledged in its turn, and none is lost", async () => {
  const admission = testAdmission({ tenantRate: { perSecond: 10, burst: 2, policy: "shed" } });
  const f = new Fixture({ windowMessages: 100 }, admission);
  for (let id = 1; id <= 5; id++) f.take(id);
  assert.deepEqual([sentTo(f, "raw").length, sentTo(f, "shed").length], [2, 3]);
  const shed = f.writer.sent[2];
  assert.deepEqual([shed.key, shed.headers["shed.reason"], shed.headers["mqtt.topic"]], ["demo|a", "tenant-rate", topicOf("demo")]);
  f.writer.release();
  await f.settled();
  assert.deepEqual(f.acks, ["puback 1", "puback 2", "puback 3", "puback 4", "puback 5"]);
  assert.deepEqual(admission.gate.counts.list(), [{ action: "shed", reason: "tenant-rate", tenant: "demo", count: 3 }]);
  assert.equal(f.forwarder.counters.written, 2);
  admission.nowMs += 100;
  f.take(6);
  assert.equal(sentTo(f, "raw").length, 3, "a tenth of a second is a token");
});

test("drop: over the limit a message is acknowledged in its turn and counted, and nothing is written", async () => {
  const admission = testAdmission({ deviceRate: { perSecond: 1, burst: 1, policy: "drop" } });
  const f = new Fixture({}, admission);
  for (let id = 1; id <= 3; id++) f.take(id, { qos: id === 3 ? 2 : 1 });
  f.take(4, { topic: topicOf("demo", "b") });
  assert.deepEqual(sentTo(f, "raw"), ['demo|a {"seq":1}', 'demo|b {"seq":4}']);
  await f.settled();
  assert.deepEqual(f.acks, [], "not before what came earlier");
  f.writer.release();
  await f.settled();
  assert.deepEqual(f.acks, ["puback 1", "puback 2", "pubrec 3", "puback 4"]);
  assert.equal(admission.gate.counts.total("drop"), 2);
  assert.equal(f.forwarder.inFlight, 0);
});

test("delay: a message is not acknowledged before its token comes, later ones of others are written meanwhile, and a device's order stays", async () => {
  const admission = testAdmission({ tenants: [{ tenant: "noisy", tenantRate: { perSecond: 100, burst: 1, policy: "delay" } }] });
  const f = new Fixture({ windowMessages: 100 }, admission);
  f.writer.auto = true;
  for (let id = 1; id <= 4; id++) f.take(id, { topic: topicOf("noisy") });
  f.take(5, { topic: topicOf("quiet") });
  await f.settled();
  assert.deepEqual(sentTo(f, "raw"), ['noisy|a {"seq":1}', 'quiet|a {"seq":5}']);
  assert.deepEqual(f.acks, ["puback 1"]);
  admission.nowMs += 20;
  // No timer yet: the next message lets in first what is due.
  f.take(6, { topic: topicOf("noisy") });
  assert.deepEqual(sentTo(f, "raw").slice(2), ['noisy|a {"seq":2}', 'noisy|a {"seq":3}']);
  admission.nowMs += 1000;
  await waitFor("the timer lets in the rest", () => f.acks.length === 6);
  assert.deepEqual(f.acks, ["puback 1", "puback 2", "puback 3", "puback 4", "puback 5", "puback 6"]);
  assert.deepEqual(sentTo(f, "raw").slice(4), ['noisy|a {"seq":4}', 'noisy|a {"seq":6}']);
});

test("delay: what would have to wait longer than maxDelayMs, or finds no room, goes into the shed topic", () => {
  const rate = { perSecond: 10, burst: 1, policy: "delay" } as const;
  const long = new Fixture({ windowMessages: 100 }, testAdmission({ tenantRate: rate, maxDelayMs: 250 }));
  for (let id = 1; id <= 5; id++) long.take(id);
  assert.deepEqual([sentTo(long, "raw").length, sentTo(long, "shed").length], [1, 2], "two wait: 100 and 200 ms");
  long.forwarder.releaseHeld();

  const many = new Fixture({ windowMessages: 4 }, testAdmission({ tenantRate: rate, maxDelayMs: 60_000 }));
  for (let id = 1; id <= 4; id++) many.take(id);
  assert.deepEqual([sentTo(many, "raw").length, sentTo(many, "shed").length], [1, 1], "half of the window waits");
  many.forwarder.releaseHeld();
});

test("delay: others never wait for a token that is not theirs: when the window is full behind a held message, it goes into the shed topic", async () => {
  const admission = testAdmission({
    tenants: [{ tenant: "noisy", tenantRate: { perSecond: 1, burst: 1, policy: "delay" } }],
    maxDelayMs: 60_000,
  });
  const f = new Fixture({ windowMessages: 4 }, admission);
  f.writer.auto = true;
  for (let id = 1; id <= 3; id++) f.take(id, { topic: topicOf("noisy") });
  await f.settled();
  let id = 4;
  for (; id < 20; id++) {
    for (let tries = 0; tries < 100 && !f.take(id, { topic: topicOf("quiet") }); tries++) await f.settled();
  }
  await f.settled();
  assert.equal(f.acks.length, 19, "the clock stood still: no token ever came");
  assert.deepEqual(admission.gate.counts.list().at(-1), { action: "shed", reason: "window-full", tenant: "noisy", count: 2 });
});

test("a held message of a lost connection is not written: the broker sends it again, and finds its token unused", async () => {
  const admission = testAdmission({ deviceRate: { perSecond: 10, burst: 1, policy: "delay" } });
  const f = new Fixture({}, admission);
  f.writer.auto = true;
  f.take(1);
  f.take(2, { qos: 2 });
  f.take(3);
  await f.settled();
  f.forwarder.connectionLost();
  assert.equal(f.forwarder.inFlight, 0);
  admission.nowMs += 100;
  f.take(2, { qos: 2, dup: true });
  await f.settled();
  assert.deepEqual(sentTo(f, "raw"), ['demo|a {"seq":1}', 'demo|a {"seq":2}']);
  assert.deepEqual(f.acks, ["puback 1", "pubrec 2"]);
});

test("at a stop everything held is written at once and acknowledged", async () => {
  const f = new Fixture({}, testAdmission({ deviceRate: { perSecond: 1, burst: 1, policy: "delay" }, maxDelayMs: 60_000 }));
  f.writer.auto = true;
  for (let id = 1; id <= 4; id++) f.take(id);
  f.forwarder.releaseHeld();
  await f.settled();
  assert.equal(f.acks.length, 4);
  assert.equal(sentTo(f, "raw").length, 4);
});

test("a failed write into the shed topic is not acknowledged", async () => {
  const f = new Fixture({}, testAdmission({ deviceRate: { perSecond: 1, burst: 1, policy: "shed" } }));
  f.take(1);
  f.take(2);
  f.writer.sent[0].done();
  await f.settled();
  f.writer.sent[1].done(new Error("away"));
  await f.settled();
  assert.deepEqual(f.acks, ["puback 1"]);
  assert.equal(f.redeliveries.length, 1);
});

test("a tenant's limit is for all its devices together and for nobody else, and a tenant's own limits replace everybody's", () => {
  const admission = testAdmission({
    tenantRate: { perSecond: 10, burst: 3, policy: "drop" },
    tenants: [{ tenant: "big", tenantRate: { perSecond: 10, burst: 6, policy: "drop" } }],
  });
  const f = new Fixture({ windowMessages: 1000 }, admission);
  for (let id = 1; id <= 10; id++) for (const tenant of ["one", "two", "big"]) f.take(id, { topic: topicOf(tenant, `d${id}`) });
  const letIn = (tenant: string): number => f.writer.sent.filter(({ key }) => key?.startsWith(`${tenant}|`)).length;
  assert.deepEqual([letIn("one"), letIn("two"), letIn("big")], [3, 3, 6]);
});

test("a payload over its tenant's size goes by the policy: dead letter, shed topic, or dropped", () => {
  const tenants = (["dead-letter", "shed", "drop"] as const).map((policy) => ({ tenant: policy, maxPayload: { bytes: 10, policy } }));
  const f = new Fixture({}, testAdmission({ tenants }));
  for (const { tenant } of tenants) f.take(1, { topic: topicOf(tenant), payload: Buffer.alloc(11) });
  assert.deepEqual(
    f.writer.sent.map(({ topic, headers }) => [topic, headers["dlq.reason"] ?? headers["shed.reason"]]),
    [
      ["dlq", "too-large"],
      ["shed", "payload-size"],
    ],
  );
  f.take(2, { topic: topicOf("drop"), payload: Buffer.alloc(10) });
  assert.equal(sentTo(f, "raw").length, 1);
});

test("a noisy tenant at 50 times its limit takes no message of the quiet ones, whatever the policy", async () => {
  for (const policy of ["delay", "shed", "drop"] as const) {
    const admission = testAdmission({ tenantRate: { perSecond: 100, burst: 100, policy } });
    const f = new Fixture({ windowMessages: 200 }, admission);
    f.writer.auto = true;
    let id = 0;
    // A second: 5,000 noisy messages, and 50 of each of four quiet tenants between them.
    for (let at = 0; at < 1000; at++) {
      admission.nowMs++;
      for (let i = 0; i < 5; i++) while (!f.take(++id % 60_000, { topic: topicOf("noisy") })) await f.settled();
      for (let quiet = 0; at % 20 === 0 && quiet < 4; quiet++)
        while (!f.take(++id % 60_000, { topic: topicOf(`quiet${quiet}`), payload: Buffer.from(`${at}`) })) await f.settled();
      await f.settled();
    }
    f.forwarder.releaseHeld();
    await f.settled();
    for (let quiet = 0; quiet < 4; quiet++) {
      const got = sentTo(f, "raw").filter((text) => text.startsWith(`quiet${quiet}|`));
      assert.deepEqual(
        got,
        Array.from({ length: 50 }, (_, i) => `quiet${quiet}|a ${i * 20}`),
        policy,
      );
    }
    const noisy = sentTo(f, "raw").filter((text) => text.startsWith("noisy|")).length;
    assert.ok(noisy >= 190 && noisy <= 320, `${policy}: ${noisy} of the noisy tenant were let in`);
    const counts = admission.gate.counts.list();
    assert.ok(counts.every(({ tenant }) => tenant === "noisy"));
    const kept = noisy + sentTo(f, "shed").length + admission.gate.counts.total("drop");
    assert.equal(kept, 5000, "each is in raw, in shed, or counted");
    assert.equal(f.acks.length, 5200);
  }
});

test("the labels of the metrics are bounded: a thousand limited tenants are a hundred and one", () => {
  const admission = testAdmission({ tenantRate: { perSecond: 0.001, burst: 1, policy: "drop" } });
  const f = new Fixture({ windowMessages: 10_000 }, admission);
  for (let i = 0; i < 1000; i++) for (const id of [1, 2]) f.take(id, { topic: topicOf(`tenant-${i}`) });
  const counts = admission.gate.counts.list();
  assert.equal(counts.length, 101);
  assert.equal(counts.find(({ tenant }) => tenant === "|other")?.count, 900);
});

test("a message too large for any topic takes a token as others do: a limit that drops, or a device that is denied, floods no topic with dead letters", async () => {
  const admission = testAdmission({ deviceRate: { perSecond: 1, burst: 2, policy: "drop" } });
  const f = new Fixture({ windowMessages: 100, maxValueBytes: 8 }, admission);
  f.writer.auto = true;
  const payload = Buffer.from("far too large");
  for (let id = 1; id <= 5; id++) f.take(id, { payload });
  await f.settled();
  assert.equal(sentTo(f, "dlq").length, 2);
  assert.deepEqual(admission.gate.counts.list(), [{ action: "drop", reason: "device-rate", tenant: "demo", count: 3 }]);
  assert.equal(f.acks.length, 5);

  const denied = testAdmission({}, { verdict: () => "drop", reason: "denied-device" });
  const g = new Fixture({ windowMessages: 100, maxValueBytes: 8 }, denied);
  g.take(1, { payload });
  await g.settled();
  assert.deepEqual([g.writer.sent.length, g.acks], [0, ["puback 1"]]);

  const shedding = testAdmission({ deviceRate: { perSecond: 1, burst: 1, policy: "shed" } });
  const h = new Fixture({ windowMessages: 100, maxValueBytes: 8 }, shedding);
  for (let id = 1; id <= 3; id++) h.take(id, { payload });
  assert.equal(sentTo(h, "dlq").length, 3, "where nothing may be lost, none is");
});
