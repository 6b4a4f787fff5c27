import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SLOT } from "../../../processors/field-name.ts";
import { JsonFields } from "../../../processors/json-fields.ts";
import { MAX_FIELDS, Payload } from "../../../processors/payload.ts";

const json = new JsonFields();
const payload = new Payload();

/** The fields that it took; undefined when it left the text to JSON.parse. The text stands in a larger buffer, as records do. */
function fieldsOf(text: Uint8Array, before: string, after: string): [string, unknown][] | undefined {
  const bytes = Buffer.concat([Buffer.from(before), text, Buffer.from(after)]);
  const start = Buffer.byteLength(before);
  if (!json.read(bytes, start, start + text.length, payload)) return undefined;
  const names = payload.lastField.path();
  assert.equal(names.length, payload.count);
  return names.map((name, at) => [name, payload.value(at) ?? null]);
}

function parsed(text: Uint8Array): [string, unknown][] | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  } catch {
    return undefined;
  }
}

/** What it takes is what JSON.parse makes of it. Returns whether it took it. */
function agrees(text: Uint8Array, before = "1", after = "2}"): boolean {
  const taken = fieldsOf(text, before, after);
  if (taken === undefined) return false;
  const expected = parsed(text);
  assert.ok(expected !== undefined, `JSON.parse refuses ${String(text)}`);
  assert.equal(taken.length, expected.length);
  taken.forEach(([name, value], at) => {
    assert.equal(name, expected[at][0]);
    assert.ok(Object.is(value, expected[at][1]), `${String(value)} for ${JSON.stringify(expected[at])}`);
  });
  return true;
}

const name = fc.oneof(
  fc.constantFrom("deviceId", "seq", "ts", "tempC", "0", "17", "__proto__", "é", "a\\b", 'q"'),
  fc.string({ maxLength: 6 }),
);
const number = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.double({ noDefaultInfinity: true, noNaN: true }).map((value) => Math.round(value * 1000) / 1000),
  fc.constantFrom(-0, 0.1, 1e21, 5e-324, 1.7976931348623157e308, 2 ** 53, 1_790_000_000_123, 21.532999999999998),
);
const flat = fc.dictionary(name, fc.oneof({ weight: 5, arbitrary: number }, fc.string({ maxLength: 8 }), fc.boolean(), fc.constant(null)), {
  maxKeys: 8,
});
const any = fc.oneof({ weight: 4, arbitrary: flat }, fc.jsonValue());

test("every flat object of plain ASCII is taken, and every field is what JSON.parse makes of it", () => {
  const plain = fc.dictionary(
    fc.constantFrom("deviceId", "bootId", "seq", "ts", "tempC", "rpm", "a b"),
    fc.oneof(number, fc.constantFrom("", "b1", "x y"), fc.boolean(), fc.constant(null)),
    { minKeys: 1 },
  );
  fc.assert(
    fc.property(plain, fc.constantFrom(undefined, 1, "\t"), (object, space) => agrees(Buffer.from(JSON.stringify(object, null, space)))),
  );
});

test("whatever is taken of any JSON is what JSON.parse makes of it", () => {
  fc.assert(
    fc.property(any, fc.constantFrom(undefined, 1), (value, space) => void agrees(Buffer.from(JSON.stringify(value, null, space)))),
    { numRuns: 2_000 },
  );
});

test("whatever is taken of broken JSON is what JSON.parse makes of it, and nothing is taken that it refuses", () => {
  const broken = fc.tuple(
    any,
    fc.array(fc.tuple(fc.nat(200), fc.constantFrom(...'{}[]",:\\ \n\t0123456789.-+eEtrufalsn\u0000\u00e9')), {
      minLength: 1,
      maxLength: 4,
    }),
    fc.nat(200),
  );
  fc.assert(
    fc.property(broken, ([value, changes, cut]) => {
      const text = Array.from(JSON.stringify(value));
      for (const [at, character] of changes) text.splice(at % (text.length + 1), at % 2, character);
      agrees(Buffer.from(text.join("")));
      agrees(Buffer.from(text.join("")).subarray(0, cut));
    }),
    { numRuns: 5_000 },
  );
});

for (const text of [
  "{}",
  "{",
  '{"a":1',
  '{"a":01}',
  '{"a":-}',
  '{"a":1.}',
  '{"a":.5}',
  '{"a":+1}',
  '{"a":1e}',
  '{"a":1e+}',
  '{"a":0x1}',
  '{"a":1,}',
  '{,"a":1}',
  '{"a" 1}',
  '{"a":tru}',
  '{"a":truex}',
  '{"a":NaN}',
  '{"a":1}}',
  '{"a":1} x',
  '{"a":"x}',
  '{"a":"\t"}',
  '{"a":[1]}',
  '{"a":{"b":1}}',
  '{"a":1,"a":2}',
  '{"b":1,"7":2}',
  '{"a\\u0062":1}',
  '{"a":"\\n"}',
  '{"ü":1}',
  '{"a":"ü"}',
  "[1]",
  "1",
  "",
])
  test(`${text || "nothing"} is left to JSON.parse`, () => assert.equal(fieldsOf(Buffer.from(text), "", '"}1e5'), undefined));

test("an object that ends with the bytes of its record is not continued in the next", () => {
  for (const [text, after] of [
    ['{"a":1', "2}"],
    ['{"a":1.', "5}"],
    ['{"a":1e', "5}"],
    ['{"a":"x', '"}'],
    ['{"a', '":1}'],
    ['{"a":t', "rue}"],
    ['{"a":1}', "}"],
  ])
    assert.equal(fieldsOf(Buffer.from(text), "", after) === undefined, text !== '{"a":1}', text);
});

test("more fields than an event may have, and names longer than a field's may be, do not grow what is kept", () => {
  const many = Object.fromEntries(Array.from({ length: MAX_FIELDS + 1 }, (_, i) => [`f${i}`, i]));
  assert.equal(fieldsOf(Buffer.from(JSON.stringify(many)), "", ""), undefined);
  payload.take(many);
  assert.deepEqual([payload.count, payload.isCutOff], [MAX_FIELDS, true]);
  const long = "x".repeat(10_000);
  for (let i = 0; i < 3; i++) assert.deepEqual(fieldsOf(Buffer.from(`{"${long}":${i}}`), "", ""), [[long, i]]);
});

test("field names without end leave the known ones as they are", () => {
  for (let i = 0; i < 10_000; i++) agrees(Buffer.from(`{"seq":1,"hostile${i}":2}`));
  assert.deepEqual(fieldsOf(Buffer.from('{"seq":7,"ts":8}'), "", ""), [
    ["seq", 7],
    ["ts", 8],
  ]);
  assert.deepEqual([payload.at(SLOT.seq), payload.at(SLOT.ts), payload.at(SLOT.bootId)], [0, 1, -1]);
});
