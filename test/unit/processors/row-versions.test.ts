/** Rows that other versions wrote. Golden rows: test/golden/rows-v*.jsonl, made by test/golden/make-rows.ts at that version. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ByteWriter } from "../../../state/byte-writer.ts";
import { StateError } from "../../../state/errors.ts";
import { decodeKey, decodeValue, ROW_FORMAT_VERSION } from "../../../state/row-format.ts";
import type { StoreSpec } from "../../../state/store.ts";
import { goldenTopology, view, type GoldenRow } from "../../golden/row-views.ts";

/** Oldest first. The last one is of the rows that are written now. */
const GOLDEN = ["rows-v1.jsonl", "rows-v2.jsonl", "rows-v3.jsonl", "rows-v4.jsonl"];

/** Stores of version 1 that no later one has: what was in this one comes again with each device's next event. */
const GONE: readonly string[] = ["device-state"];

const specs = goldenTopology().subtopologies.flatMap((subtopology) => subtopology.stores);

function rowsOf(file: string): GoldenRow[] {
  const lines = readFileSync(new URL(`../../golden/${file}`, import.meta.url), "utf8")
    .trim()
    .split("\n");
  return lines.map((line) => JSON.parse(line) as GoldenRow);
}

function specOf(store: string): StoreSpec<unknown> {
  const spec = specs.find(({ name }) => name === store);
  assert.ok(spec !== undefined, `no store "${store}"`);
  return spec;
}

for (const file of GOLDEN)
  test(`rows of every store that were written in ${file} say the same as then`, () => {
    const rows = rowsOf(file);
    for (const { store, key, value, shows } of rows.filter((row) => !GONE.includes(row.store))) {
      const spec = specOf(store);
      const bytes = Buffer.from(value, "hex");
      assert.deepEqual(view(store, decodeValue(spec.value, store, bytes, 0, bytes.length)), shows, store);
      const keyBytes = Buffer.from(key, "hex");
      const keyEnd = keyBytes.length - (spec.kind === "window" ? 8 : 0);
      assert.match(String(decodeKey(spec.key, store, keyBytes, 0, keyEnd)), /^demo\|/);
    }
  });

test("every store has rows in the newest golden file, and they are written byte for byte as there", () => {
  const rows = rowsOf(GOLDEN[GOLDEN.length - 1]);
  assert.deepEqual(new Set(rows.map(({ store }) => store)), new Set(specs.map(({ name }) => name)));
  const out = new ByteWriter();
  for (const { store, value } of rows) {
    const { value: serde } = specOf(store);
    const bytes = Buffer.from(value, "hex");
    out.reset();
    out.u8(ROW_FORMAT_VERSION);
    serde.write(decodeValue(serde, store, bytes, 0, bytes.length), out);
    assert.equal(out.toBuffer().toString("hex"), value, store);
  }
});

test("a row of a version to come is `incompatible-schema`, which wipes nothing, whichever of its versions is newer", () => {
  for (const { store, value } of rowsOf(GOLDEN[GOLDEN.length - 1])) {
    for (const at of [0, 1]) {
      const bytes = Buffer.from(value, "hex");
      bytes[at]++;
      assert.throws(
        () => decodeValue(specOf(store).value, store, bytes, 0, bytes.length),
        (error) => {
          assert.ok(error instanceof StateError);
          assert.equal(error.code, "incompatible-schema", error.message);
          assert.equal(error.action, "fatal");
          assert.match(error.message, new RegExp(`store "${store}".*a newer one wrote it`));
          return true;
        },
      );
    }
  }
});
