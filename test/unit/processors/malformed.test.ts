import assert from "node:assert/strict";
import { test } from "node:test";
import { Job, KEY, T0 } from "./support/job.ts";

const cases: readonly {
  name: string;
  value: string | Uint8Array | null | object;
  reason: string;
  key?: string | Uint8Array | null;
  headers?: Record<string, string>;
}[] = [
  { name: "a null value", value: null, reason: "empty" },
  { name: "no bytes", value: "", reason: "empty" },
  { name: "an empty array", value: "[]", reason: "empty" },
  { name: "white space", value: "  \n", reason: "not-json" },
  { name: "half an object", value: '{"tempC":', reason: "not-json" },
  { name: "binary", value: Buffer.from([0xff, 0xfe, 0x00, 0x01]), reason: "not-json" },
  {
    name: "JSON with bytes that are no UTF-8",
    value: Buffer.concat([Buffer.from('{"tempC":1,"a":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
    reason: "not-json",
  },
  { name: "a framed value without a registry", value: Buffer.from([0, 0, 0, 0, 1, 2, 3]), reason: "not-json" },
  { name: "a byte order mark", value: '\ufeff{"tempC":1}', reason: "not-json" },
  { name: "bare NaN", value: '{"tempC":NaN}', reason: "not-finite" },
  { name: "bare -Infinity", value: '{"tempC":-Infinity}', reason: "not-finite" },
  { name: "NaN in a string of broken JSON", value: '{"tempC":"NaN"', reason: "not-json" },
  { name: "a number beyond a double", value: '{"tempC":1e999}', reason: "not-finite" },
  { name: "a conversion beyond a double", value: '{"tempF":1.7e308,"x":1}', reason: "not-finite" },
  { name: "a number", value: "42", reason: "not-object" },
  { name: "a string", value: '"hello"', reason: "not-object" },
  { name: "null", value: "null", reason: "not-object" },
  { name: "an array of numbers", value: "[1,2]", reason: "not-object" },
  { name: "no metrics", value: { deviceId: "d1", fw: "1.2", on: true, nothing: null }, reason: "no-metrics" },
  { name: "only arrays", value: { samples: [1, 2, 3] }, reason: "no-metrics" },
  { name: "another device", value: { deviceId: "d2", tempC: 1 }, reason: "device-mismatch" },
  { name: "another tenant", value: { tenant: "other", tempC: 1 }, reason: "tenant-mismatch" },
  { name: "a deviceId that is no string", value: { deviceId: 1, tempC: 1 }, reason: "schema" },
  { name: "a bootId that is an object", value: { bootId: {}, tempC: 1 }, reason: "schema" },
  { name: "an empty bootId", value: { bootId: "", tempC: 1 }, reason: "schema" },
  { name: "an endless bootId", value: { bootId: "b".repeat(129), tempC: 1 }, reason: "schema" },
  { name: "a bootId with a lone surrogate", value: '{"bootId":"\\ud800","tempC":1}', reason: "schema" },
  { name: "a negative seq", value: { seq: -1, tempC: 1 }, reason: "schema" },
  { name: "a fractional seq", value: { seq: 1.5, tempC: 1 }, reason: "schema" },
  { name: "a seq past 2^53-1", value: '{"seq":9007199254740993,"tempC":1}', reason: "schema" },
  { name: "a seq in a string", value: { seq: "17", tempC: 1 }, reason: "schema" },
  { name: "a ts that is no time", value: { ts: "yesterday", tempC: 1 }, reason: "bad-timestamp" },
  { name: "a ts that is an object", value: { ts: {}, tempC: 1 }, reason: "bad-timestamp" },
  { name: "a ts in ns", value: { ts: 1.7e18, tempC: 1 }, reason: "bad-timestamp" },
  { name: "no key", value: { tempC: 1 }, reason: "bad-topic", key: null },
  { name: "a key without a device", value: { tempC: 1 }, reason: "bad-topic", key: "demo" },
  { name: "a key of three parts", value: { tempC: 1 }, reason: "bad-topic", key: "a|b|c" },
  { name: "a key with a control character", value: { tempC: 1 }, reason: "bad-topic", key: "demo|d\u0001" },
  { name: "a key that is no UTF-8", value: { tempC: 1 }, reason: "bad-topic", key: Buffer.from([0x61, 0x7c, 0xff]) },
  { name: "a device id of 257 bytes", value: { tempC: 1 }, reason: "bad-topic", key: `demo|${"d".repeat(257)}` },
  {
    name: "a topic of another tenant",
    value: { tempC: 1 },
    reason: "tenant-mismatch",
    headers: { "mqtt.topic": "t/other/d/d1/telemetry" },
  },
  { name: "a topic of another device", value: { tempC: 1 }, reason: "device-mismatch", headers: { "mqtt.topic": "t/demo/d/d2/telemetry" } },
  { name: "a topic of another shape", value: { tempC: 1 }, reason: "bad-topic", headers: { "mqtt.topic": "sensors/d1" } },
  { name: "__proto__ as a field", value: '{"tempC":1,"__proto__":{"polluted":1}}', reason: "schema" },
  { name: "__proto__ in a nested object", value: '{"tempC":1,"a":{"__proto__":1}}', reason: "schema" },
  { name: "10,000 fields", value: Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`f${i}`, i])), reason: "schema" },
  { name: "100,000 levels of nesting", value: `{"tempC":1,"a":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}`, reason: "schema" },
  { name: "a field name of 129 characters", value: { tempC: 1, ["n".repeat(129)]: 1 }, reason: "schema" },
  { name: "a field name with a lone surrogate", value: '{"tempC":1,"\\udfff":2}', reason: "schema" },
  { name: "an endless string", value: { tempC: 1, note: "x".repeat(1025) }, reason: "schema" },
  {
    name: "65 attributes",
    value: { tempC: 1, ...Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`a${i}`, "x"])) },
    reason: "schema",
  },
  { name: "257 metrics", value: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`m${i}`, i])), reason: "schema" },
];

for (const { name, value, reason, key, headers } of cases) {
  test(`${name} is dead-lettered as ${reason}, with its bytes, and the stream goes on`, async (t) => {
    const job = await Job.start(t);
    job.send(value, { key, headers });
    job.send({ seq: 1, ts: T0, tempC: 20 });
    const letters = job.deadLetters();
    assert.deepEqual(
      letters.map((letter) => letter.reason),
      [reason],
    );
    const sent =
      value === null
        ? null
        : value instanceof Uint8Array || typeof value === "string"
          ? Buffer.from(value as string)
          : Buffer.from(JSON.stringify(value));
    assert.deepEqual(letters[0].value, sent);
    assert.deepEqual(letters[0].key, key === null ? null : Buffer.from((key ?? KEY) as string));
    assert.equal(job.normalized().length, 1);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });
}

test("a value over validation.maxValueBytes is too-large", async (t) => {
  const job = await Job.start(t, { validation: { maxValueBytes: 50 } });
  job.send({ tempC: 1, note: "x".repeat(50) });
  job.send({ tempC: 1 });
  assert.deepEqual(
    job.deadLetters().map((letter) => letter.reason),
    ["too-large"],
  );
  assert.equal(job.normalized().length, 1);
});

test("of a batch the good events go on, and the bad ones dead-letter its bytes once, with the index of the first", async (t) => {
  const job = await Job.start(t);
  const batch = JSON.stringify([
    { seq: 1, tempC: 1 },
    7,
    { seq: 2, tempC: "hot", x: 2 },
    { seq: -1, tempC: 1 },
    { seq: 3, tempC: 3 },
    { seq: 3, tempC: 3 },
  ]);
  job.send(batch);
  assert.deepEqual(
    job.normalized().map((record) => record.seq),
    [1, 2, 3],
  );
  const letters = job.deadLetters();
  assert.equal(letters.length, 1);
  assert.equal(letters[0].reason, "not-object");
  assert.match(letters[0].message, /^\[1\]: /);
  assert.equal(String(letters[0].value), batch);
  assert.equal(job.ledger().duplicates, 1, "a copy within the batch is a duplicate");
});

test("a batch of more than 2,000 events is too-large", async (t) => {
  const job = await Job.start(t);
  job.send(Array.from({ length: 2_001 }, (_, seq) => ({ seq, tempC: 1 })));
  assert.equal(job.deadLetters()[0].reason, "too-large");
  job.send(Array.from({ length: 2_000 }, (_, seq) => ({ seq, tempC: 1 })));
  assert.equal(job.normalized().length, 2_000);
});
