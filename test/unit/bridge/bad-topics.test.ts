/** The limit of dead letters of topics that belong to no device. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BAD_TOPIC_TOKEN_BYTES } from "../../../bridge/admission/bad-topics.ts";
import { ADMISSION_DEFAULTS } from "../../../bridge/admission/settings.ts";
import { Fixture, testAdmission } from "./forwarder-fixture.ts";

const { burst, perSecond } = ADMISSION_DEFAULTS.badTopicRate;
const ROOMY = { windowMessages: 60_000, windowBytes: 1 << 28, qos0Messages: 60_000, qos0Bytes: 1 << 28, maxValueBytes: 1 << 20 };

function dropped(f: Fixture): number {
  return f.badTopics.counts().reduce((sum, { count }) => sum + count, 0);
}

for (const qos of [0, 1, 2] as const) {
  test(`QoS ${qos}: a flood on topics of no device writes the burst, then so many a second; the rest is acknowledged in turn and counted`, async () => {
    const f = new Fixture(ROOMY);
    f.writer.auto = true;
    for (let id = 1; id <= 20_000; id++) assert.ok(f.take(id, { topic: `flood/${id}`, qos }));
    await f.settled();
    assert.equal(f.writer.sent.length, burst);
    assert.deepEqual(f.badTopics.counts(), [{ action: "drop", reason: "bad-topic-rate", tenant: "|none", count: 20_000 - burst }]);
    assert.equal(f.acks.length, qos === 0 ? 0 : 20_000, "the broker sends none of it again");
    assert.equal(f.forwarder.inFlight, 0, "nothing waits");
    f.nowMs += 1000;
    for (let id = 1; id <= 2 * perSecond; id++) f.take(20_000 + id, { topic: `flood/${id}`, qos });
    assert.equal(f.writer.sent.length, burst + perSecond);
    f.take(30_000, { qos });
    assert.equal(f.writer.sent.at(-1)?.topic, "raw", "a device's own messages are nobody's concern here");
  });
}

test("what is over the limit is acknowledged behind what came before it, not ahead of its durable record", async () => {
  const f = new Fixture(ROOMY);
  for (let id = 1; id <= burst; id++) f.take(id, { topic: "flood" });
  f.take(burst + 1, { topic: "flood" });
  f.take(burst + 2);
  await f.settled();
  assert.deepEqual(f.acks, []);
  f.writer.release();
  await f.settled();
  assert.equal(f.acks.length, burst + 2);
  assert.equal(f.acks.at(-2), `puback ${burst + 1}`);
});

test("few large messages are a flood as well: a token for each 16 KiB begun, topic and properties counted", () => {
  const payload = new Uint8Array(10 * BAD_TOPIC_TOKEN_BYTES - 1000);
  const f = new Fixture(ROOMY);
  f.writer.auto = true;
  for (let id = 1; id <= 1000; id++) f.take(id, { topic: "flood", payload });
  assert.equal(f.writer.sent.length, burst / 10);
  const long = new Fixture(ROOMY);
  long.writer.auto = true;
  for (let id = 1; id <= burst; id++) long.take(id, { topic: "x".repeat(60_000), payload: new Uint8Array(0) });
  assert.equal(long.writer.sent.length, burst / 4);
});

test("distinct topics leave nothing behind: the routes of none are kept", () => {
  const f = new Fixture(ROOMY, testAdmission({ deviceRate: { perSecond: 1, burst: 1, policy: "drop" } }));
  f.writer.auto = true;
  for (let id = 1; id <= 100_000; id++) f.take(id % 65_535, { topic: `flood/${id}`, qos: 0 });
  assert.equal(f.writer.sent.length, burst);
  assert.equal(dropped(f), 100_000 - burst);
  assert.equal(f.badTopics.counts().length, 1);
});
