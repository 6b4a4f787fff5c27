import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { waitFor } from "../../support/wait-for.ts";
import { apiOverFakes, listening, TOPICS } from "./support/api.ts";
import { SseReader } from "./support/sse-reader.ts";
import { alert } from "./support/rows.ts";

test("records come as events with type, id and the record's own JSON", async (t) => {
  const { app, feed } = apiOverFakes(t);
  const stream = await SseReader.open(t, `${await listening(app)}/v1/stream`);
  feed.push([
    feed.record(TOPICS.normalized, "demo|d1", { n: 1 }),
    feed.record(TOPICS.aggregates, "demo|d1", '{\n "n": 2\n}'),
    feed.record(TOPICS.alerts, "demo|d1", alert("d1")),
  ]);
  assert.deepEqual(await stream.take(3), [
    { event: "normalized", id: `${TOPICS.normalized}/0/0`, data: '{"n":1}' },
    { event: "aggregate", id: `${TOPICS.aggregates}/0/1`, data: '{  "n": 2 }' },
    { event: "alert", id: `${TOPICS.alerts}/0/2`, data: JSON.stringify(alert("d1")) },
  ]);
});

test("tenant, device and types narrow the stream", async (t) => {
  const { app, feed } = apiOverFakes(t);
  const url = await listening(app);
  const ofDevice = await SseReader.open(t, `${url}/v1/stream?tenant=demo&device=d1`);
  const ofTenant = await SseReader.open(t, `${url}/v1/stream?tenant=demo&types=alert,aggregate`);
  const records = ["demo|d1", "demo|d2", "demo2|d1"].flatMap((key) => [
    feed.record(TOPICS.normalized, key, { key }),
    feed.record(TOPICS.aggregates, key, { key }),
  ]);
  feed.push(records);
  feed.push([feed.record(TOPICS.aggregates, "demo|d1", { end: true })]);
  assert.deepEqual(
    (await ofDevice.take(3)).map(({ data }) => data),
    ['{"key":"demo|d1"}', '{"key":"demo|d1"}', '{"end":true}'],
  );
  assert.deepEqual(
    (await ofTenant.take(3)).map(({ data }) => data),
    ['{"key":"demo|d1"}', '{"key":"demo|d2"}', '{"end":true}'],
  );
});

for (const query of ["types=raw", "device=d1", "focus=d1&sample=1", "sample=0", "tenant=a%7Cb", "since=1"]) {
  test(`stream?${query} is refused`, async (t) => {
    const { app } = apiOverFakes(t);
    assert.equal((await app.inject(`/v1/stream?${query}`)).statusCode, 400);
  });
}

test("records that are no JSON are left out and counted; a decoder shows them", async (t) => {
  const plain = apiOverFakes(t);
  const stream = await SseReader.open(t, `${await listening(plain.app)}/v1/stream`);
  const avro = plain.feed.record(TOPICS.normalized, "demo|d1", "\u0000\u0001avro");
  plain.feed.push([
    avro,
    plain.feed.record(TOPICS.normalized, "no key of ours", {}),
    plain.feed.record(TOPICS.normalized, "demo|d1", { n: 1 }),
  ]);
  assert.equal((await stream.take(1))[0].data, '{"n":1}');
  assert.match(await plain.registry.metrics(), /^sluice_http_stream_undecodable_total 2$/m);

  const decoding = apiOverFakes(t, { recordText: () => '{"decoded":true}' });
  const decoded = await SseReader.open(t, `${await listening(decoding.app)}/v1/stream`);
  decoding.feed.push([avro]);
  assert.equal((await decoded.take(1))[0].data, '{"decoded":true}');
});

test("a client that stops reading holds a bounded number of bytes, and is told what it missed when it reads on", async (t) => {
  const { app, feed, registry } = apiOverFakes(t);
  const { port } = new URL(await listening(app));
  const socket = connect(Number(port), "127.0.0.1");
  t.after(() => socket.destroy());
  socket.write("GET /v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await new Promise((resolve) => socket.once("readable", resolve));
  await waitFor("the subscription", () => feed.listeners.size === 1);
  // Not read from here on: the kernel's buffers fill, then ours.
  const big = "x".repeat(20_000);
  let pushed = 0;
  await waitFor("drops", async () => {
    for (let n = 0; n < 50; n++, pushed++) feed.push([feed.record(TOPICS.normalized, "demo|d1", { n: pushed, big })]);
    await new Promise((resolve) => setImmediate(resolve));
    return /stream_dropped_total [1-9]/.test(await registry.metrics());
  });
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  await waitFor("every event to be either there or told as dropped", () => {
    const told = [...text.matchAll(/event: dropped\ndata: \{"count":(\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0);
    const got = text.match(/event: normalized/g)?.length ?? 0;
    return told > 0 && got + told === pushed;
  });
});

test("what the feed itself left out is told to every client", async (t) => {
  const { app, feed } = apiOverFakes(t);
  const stream = await SseReader.open(t, `${await listening(app)}/v1/stream`);
  feed.push([feed.record(TOPICS.normalized, "demo|d1", {})], 7);
  assert.deepEqual((await stream.take(1))[0], { event: "dropped", id: undefined, data: '{"count":7,"total":7}' });
});

test("open streams are bounded: one more is 503 with Retry-After, and a closed one makes room", async (t) => {
  const { app, feed } = apiOverFakes(t, { maxStreams: 1 });
  const url = `${await listening(app)}/v1/stream`;
  const first = await SseReader.open(t, url);
  const refused = await fetch(url);
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "5"]);
  assert.equal(((await refused.json()) as { code: string }).code, "too-many-streams");
  first.close();
  await waitFor("the subscription to end with the last client", () => feed.listeners.size === 0);
  await SseReader.open(t, url);
});

test("closing the app ends open streams at once and in order, not by cutting them", async (t) => {
  const { app, feed } = apiOverFakes(t);
  const stream = await SseReader.open(t, `${await listening(app)}/v1/stream`);
  await app.close();
  assert.equal(await stream.ended(), "orderly");
  assert.equal(feed.listeners.size, 0);
});

test("sample bounds events a second; alerts and the device in focus always come", async (t) => {
  const { app, feed } = apiOverFakes(t);
  const stream = await SseReader.open(t, `${await listening(app)}/v1/stream?tenant=demo&sample=10&focus=d7`);
  const records = Array.from({ length: 1000 }, (_, n) => feed.record(TOPICS.normalized, `demo|d${n}`, { n }));
  feed.push([...records, feed.record(TOPICS.alerts, "demo|d1", { last: true })]);
  const events = await stream.take(12);
  assert.equal(events.at(-1)?.event, "alert");
  assert.ok(events.some(({ data }) => data === '{"n":7}'));
});
