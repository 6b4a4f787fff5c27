import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Job, T0 } from "./support/job.ts";

test("the default payload becomes the documented record, byte for byte", async (t) => {
  const job = await Job.start(t);
  job.send({ deviceId: "d1", bootId: "b1", seq: 17, ts: T0, tempC: 21.37, rpm: 1203 }, { at: T0 + 40 });
  const [record] = job.driver.output("iot.telemetry.normalized");
  assert.equal(
    String(record.value),
    `{"v":1,"tenant":"demo","deviceId":"d1","bootId":"b1","seq":17,"ts":${T0},"receivedTs":${T0 + 40},"metrics":{"temperature_c":21.37,"rotation_rpm":1203},"attributes":{},"flags":[]}`,
  );
  assert.equal(String(record.key), "demo|d1");
  assert.equal(record.timestamp, T0);
});

test("built-in defaults: units are converted, unknown numbers are metrics, strings and booleans attributes, nested names joined", async (t) => {
  const job = await Job.start(t);
  job.send({ seq: 1, tempF: 212, humidity: 40, vibration: 0.5, fw: "1.2", on: false, gps: { lat: 1.5, fix: "3d" }, list: [1], none: null });
  const [record] = job.normalized();
  assert.deepEqual(record.metrics, { temperature_c: 100, humidity_pct: 40, vibration: 0.5, "gps.lat": 1.5 });
  assert.deepEqual(record.attributes, { fw: "1.2", on: false, "gps.fix": "3d" });
});

test("two fields of one metric: the last one counts, and the name is written once", async (t) => {
  const job = await Job.start(t);
  job.send({ seq: 1, tempC: 1, rpm: 5, temperature: 2 });
  const [{ value }] = job.driver.output("iot.telemetry.normalized");
  assert.match(String(value), /"metrics":\{"temperature_c":2,"rotation_rpm":5\}/);
});

test("quotes, backslashes and control characters in ids and names are escaped", async (t) => {
  const job = await Job.start(t);
  for (const [seq, text] of ['"', "\n", "\t", "\u007f", "é", "a".repeat(30) + '"'].entries()) {
    job.send({ bootId: text, seq, [`x${text}`]: 1 }, { key: `te"nant|x${text.trim()}` });
    const [record] = job.normalized();
    assert.deepEqual([record.bootId, record.tenant, record.metrics], [text, 'te"nant', { [`x${text}`]: 1 }]);
  }
});

test("a field name with a backslash is refused before JSON.parse sees it: it would make Node misread the names of others", async (t) => {
  const job = await Job.start(t);
  for (const name of ["mis\\\\", "mis\\u005c", "mis\\u005Cx", "a\\\\b"]) job.send(`{"seq":1,"${name}" :1}`);
  assert.deepEqual(
    job.deadLetters().map((letter) => letter.reason),
    ["schema", "schema", "schema", "schema"],
  );
  job.send('{"seq":1,"mis\\u00e9":1,"path":"C:\\\\dir"}');
  const [record] = job.normalized();
  assert.deepEqual([record.metrics, record.attributes], [{ misé: 1 }, { path: "C:\\dir" }]);
});

test("a profile renames, converts, ignores and makes attributes; the first that matches the device is its own", async (t) => {
  const fields = {
    t: { metric: "temperature_c", from: "kelvin" },
    raw: { metric: "pressure_hpa", scale: 0.5, offset: 10 },
    code: { attribute: "errorCode" },
    junk: { ignore: true },
    "env.h": { metric: "humidity_pct" },
  };
  const profiles = [
    { name: "others", tenant: "other", fields: { t: { metric: "nope" } } },
    { name: "pumps", devices: ["pump-*", "d1"], fields },
    { name: "all", fields: { t: { metric: "late_match" } } },
  ];
  const job = await Job.start(t, { profiles });
  const payload = { seq: 1, t: 300, raw: 100, code: 7, junk: "x", env: { h: 33 }, tempC: 1 };
  job.send(payload);
  job.send(payload, { key: "demo|pump-7" });
  job.send(payload, { key: "demo|fan-1" });
  const [first, second, third] = job.normalized();
  assert.deepEqual(Object.keys(first.metrics), ["temperature_c", "pressure_hpa", "humidity_pct"]);
  assert.equal(first.metrics.temperature_c, 1);
  assert.equal(first.metrics.pressure_hpa, 60);
  assert.deepEqual(first.attributes, { errorCode: 7 });
  assert.deepEqual(second.metrics, first.metrics);
  assert.equal(third.metrics.late_match, 300);
});

test("a profile's metric that is no number is refused", async (t) => {
  const job = await Job.start(t, { profiles: [{ name: "p", fields: { t: { metric: "temperature_c" } } }] });
  job.send({ seq: 1, t: "hot", rpm: 1 });
  assert.equal(job.deadLetters()[0].reason, "schema");
});

test("times: none, too far ahead, seconds, ISO; retained is flagged", async (t) => {
  const job = await Job.start(t);
  job.send({ seq: 1, tempC: 1 }, { at: T0 });
  job.send({ seq: 2, tempC: 1, ts: T0 + 300_001 });
  job.send({ seq: 4, tempC: 1, ts: T0 / 1000 + 0.5 });
  job.send(
    { seq: 5, tempC: 1, ts: new Date(T0 + 7).toISOString() },
    { headers: { "mqtt.retain": "1", "mqtt.topic": "t/demo/d/d1/telemetry" } },
  );
  job.send({ seq: 6, tempC: 1, ts: T0 + 300_000 });
  const [none, ahead, seconds, iso, limit] = job.normalized();
  assert.deepEqual([none.ts, none.flags], [T0, ["no-ts"]]);
  assert.deepEqual([ahead.ts, ahead.deviceTs, ahead.flags], [T0, T0 + 300_001, ["clock-ahead"]]);
  assert.deepEqual([limit.ts, limit.deviceTs, limit.flags], [T0 + 300_000, undefined, []]);
  assert.deepEqual([seconds.ts, iso.ts], [T0 + 500, T0 + 7]);
  assert.deepEqual(iso.flags, ["retained"]);
});

test("whatever a device sends, the record is valid JSON with the same numbers and strings", async (t) => {
  const job = await Job.start(t);
  let seq = 0;
  const text = fc.string({ unit: "binary", maxLength: 30 });
  const name = text.filter((characters) => !characters.includes("\\"));
  fc.assert(
    fc.property(
      name,
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      text,
      fc.option(text.filter((id) => id.length > 0)),
      (field, value, note, bootId) => {
        job.send(JSON.stringify({ seq: seq++, bootId, [`m-${field}`]: value, [`a-${field}`]: note }));
        const [record] = job.normalized();
        assert.equal(record.metrics[`m-${field}`], value + 0);
        assert.equal(record.attributes[`a-${field}`], note);
        assert.equal(record.bootId, bootId ?? undefined);
      },
    ),
    { numRuns: 300 },
  );
});

test("a string attribute with a lone surrogate is mended, and U+FFFD that a device sends itself is kept", async (t) => {
  const job = await Job.start(t);
  job.send('{"seq":1,"tempC":1,"a":"x\\ud800y","b":"\ufffd"}');
  assert.deepEqual(job.normalized()[0].attributes, { a: "x\ufffdy", b: "\ufffd" });
});

test("thousands of different payload shapes do not mix up their metrics", async (t) => {
  const job = await Job.start(t);
  for (let i = 0; i < 3_000; i++) job.send({ seq: i, [`x${i}`]: i, common: -i });
  const records = job.normalized();
  assert.equal(records.length, 3_000);
  records.forEach((record, i) => assert.deepEqual(record.metrics, { [`x${i}`]: i, common: -i + 0 }));
});
