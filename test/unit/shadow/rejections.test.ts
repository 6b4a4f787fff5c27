/** What a device is told of a report that was refused: by the worker's processor. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RAW_HEADERS } from "../../../processors/formats/names.ts";
import { KEY, ShadowDriver, type Said } from "./shadow-driver.ts";

const TOPIC = { [RAW_HEADERS.topic]: "t/demo/d/d1/shadow/reported" };
const codes = (said: readonly Said[]): (string | undefined)[] => said.map(({ headers }) => headers["shadow.rejected"]);

test("a refused report leaves the shadow as it was, and says why beside it, with its correlation data", async (t) => {
  const shadow = await ShadowDriver.start(t);
  const [before] = shadow.want({ state: { a: 1 } });
  const said = shadow.pipe("{", { ...TOPIC, [RAW_HEADERS.correlation]: "c-7" });
  assert.deepEqual(said, [
    {
      document: before.document,
      headers: { "shadow.rejected": "not-json", "shadow.rejected.message": "not JSON in UTF-8", "mqtt.correlation": "c-7" },
    },
  ]);
  assert.deepEqual(shadow.deadLetters(), ["not-json"]);
});

test("a report that would make the state too large is told once with its outcome, and again when it comes again", async (t) => {
  const shadow = await ShadowDriver.start(t, { maxBytes: 100 });
  shadow.device("reported", { state: { a: "x".repeat(60) } });
  const big = { id: "big", state: { b: "x".repeat(60) } };
  const [said, ...more] = shadow.device("reported", big);
  const { headers } = said;
  assert.deepEqual([headers["shadow.request"], headers["shadow.outcome"], headers["shadow.rejected"]], ["big", "too-large", "too-large"]);
  assert.match(headers["shadow.rejected.message"], /over 100 bytes/);
  assert.deepEqual([said.document?.version, more], [1, []]);
  shadow.now += 1_000;
  assert.deepEqual(codes(shadow.device("reported", big)), ["too-large"]);
  assert.deepEqual(shadow.deadLetters(), ["too-large"], "a dead letter once");
});

test("a device is told once a second at the most, others meanwhile are told; the rest is counted", async (t) => {
  const shadow = await ShadowDriver.start(t);
  shadow.now = 7_200_000;
  const count = (): number => shadow.device("reported", "{").length;
  assert.deepEqual([count(), count(), count()], [1, 0, 0]);
  const other = shadow.pipe("{", { [RAW_HEADERS.topic]: "t/demo/d/d2/shadow/reported" }, "demo|d2");
  assert.deepEqual(codes(other), ["not-json"]);
  shadow.now += 999;
  assert.equal(count(), 0);
  shadow.now += 1;
  assert.equal(count(), 1);
  shadow.now -= 3_600_000;
  assert.equal(count(), 1, "a clock that was set back silences nobody");
  assert.equal(shadow.deadLetters().length, 7);
});

test("what is no device's report is told to nobody: requests, another's topic, what is retained, asking", async (t) => {
  const shadow = await ShadowDriver.start(t);
  const said = [
    ...shadow.want({ op: "replace", state: undefined }),
    ...shadow.want({ deviceId: "d2", state: {} }),
    ...shadow.device("reported", "{", "t/demo/d/d2/shadow/reported"),
    ...shadow.device("reported", "{", "t/other/d/d1/shadow/reported"),
    ...shadow.device("reported", "{", undefined, "1"),
    ...shadow.device("get", "{"),
  ];
  assert.deepEqual(codes(said), [undefined], "the answer to the one that asks");
});

test("whatever the report, what its device is told holds nothing of it", async (t) => {
  const shadow = await ShadowDriver.start(t);
  const secret = fc.stringMatching(/^[0-9]{12}$/).map((digits) => `SECRET${digits}`);
  const marked = secret.chain((text) =>
    fc.constantFrom(
      `{"${text}":1}`,
      `{"state":{"${text}\\\\":1}}`,
      `{"state":{"a":{"__proto__":"${text}"}}}`,
      `{"state":{"${text}\\u0000":1}}`,
      `{"state":"${text}"}`,
      `{"state":{},"id":"${text} "}`,
      `{"state":{"a":1}} ${text}`,
      `${text}`,
      `"${text}"`,
      `{"state":{"${text.repeat(20)}":1}}`,
      `{"state":{"a":"${text.repeat(2_000)}"}}`,
      `{"state":{"a":["${text}",1e400]}}`,
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(marked, fc.json(), fc.string({ maxLength: 200 })), async (payload) => {
      shadow.now += 1_000;
      for (const { headers } of shadow.pipe(payload, TOPIC)) {
        if (headers["shadow.rejected"] === undefined) continue;
        const told = headers["shadow.rejected.message"];
        assert.ok(!told.includes("SECRET"), told);
        assert.ok(told.length > 0 && told.length < 120, told);
      }
    }),
    { numRuns: 500 },
  );
  assert.equal(shadow.row(KEY)?.state?.desired.a, undefined);
});
