import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TextTable } from "../../../state/text-table.ts";

/** As sourceKey does it. */
function read(table: TextTable, bytes: Uint8Array, start: number, end: number): { text: string; isKnown: boolean } {
  const known = table.find(bytes, start, end);
  if (known !== undefined) return { text: known, isKnown: true };
  const text = Buffer.from(bytes.subarray(start, end)).toString();
  table.add(bytes, start, end, text);
  return { text, isKnown: false };
}

test("whatever texts come, in whatever buffers, each is read as its own", () => {
  const texts = fc.array(
    fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: "grapheme", maxLength: 30 }), fc.constantFrom("a", "aa", "aaaaa")),
    {
      minLength: 1,
      maxLength: 200,
    },
  );
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 50 }), fc.nat(7), (all, maxTexts, before) => {
      const table = new TextTable(maxTexts);
      for (const text of [...all, ...all]) {
        const encoded = Buffer.from(text);
        // in the middle of other bytes, at any alignment, and a view that does not begin with its memory
        const bytes = Buffer.concat([Buffer.alloc(9 + before, 0x61), encoded, Buffer.alloc(5, 0x61)]).subarray(9);
        assert.equal(read(table, bytes, before, before + encoded.length).text, encoded.toString());
      }
    }),
  );
});

test("a text that comes again is not made again: nearly all of ten thousand, and none of more than 64 bytes", () => {
  const table = new TextTable(20_000);
  const keys = Array.from({ length: 10_000 }, (_, n) => Buffer.from(`demo|device-${n}`));
  for (const key of keys) assert.equal(read(table, key, 0, key.length).isKnown, false);
  const known = keys.filter((key, n) => {
    const { text, isKnown } = read(table, Buffer.from(key), 0, key.length);
    assert.equal(text, `demo|device-${n}`);
    return isKnown;
  });
  assert.ok(known.length > 9_990, `${known.length}`);
  for (const [length, isKnown] of [
    [64, true],
    [65, false],
  ] as const) {
    const text = Buffer.alloc(length, 0x7a);
    read(table, text, 0, length);
    assert.equal(read(table, text, 0, length).isKnown, isKnown);
  }
});

test("with as many texts as it may have it begins anew", () => {
  const table = new TextTable(3);
  const [a, b, c, d] = ["a", "b", "c", "d"].map((text) => Buffer.from(text));
  for (const text of [a, b, c]) read(table, text, 0, 1);
  assert.equal(read(table, a, 0, 1).isKnown, true);
  assert.equal(read(table, d, 0, 1).isKnown, false);
  assert.equal(read(table, a, 0, 1).isKnown, false);
  assert.equal(read(table, d, 0, 1).isKnown, true);
  for (let n = 1_000; n < 6_000; n++) read(table, Buffer.from(`text ${n}`), 0, 9);
  assert.equal(read(table, Buffer.from("text 5999"), 0, 9).isKnown, true, "what was forgotten takes no slots");
});

test("a text is not taken for a longer one that begins with it", () => {
  const table = new TextTable(5_000);
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 30; n++) {
      const longest = Buffer.from(`${n} `.repeat(32).slice(0, 64));
      for (let end = 64; end > 3; end--) assert.equal(read(table, longest, 0, end).text, longest.toString("latin1", 0, end));
    }
  }
});
