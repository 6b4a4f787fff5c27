import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { compress as rawSnappy } from "snappyjs";
import type { Compression } from "../../../eventlog/port.ts";
import { compress, decompress } from "../../../eventlog/records/compression.ts";
import { compressLz4Block } from "../../../eventlog/records/lz4-block.ts";

const KINDS: readonly Compression[] = ["none", "gzip", "snappy", "lz4", "zstd"];

const INPUTS: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  "one byte": Buffer.from("x"),
  "a run": Buffer.alloc(300_000, "ab"),
  noise: randomBytes(200_000),
  text: Buffer.from(Array.from({ length: 20_000 }, (_, i) => `{"seq":${i},"tempC":${i % 97}}`).join("\n")),
};

for (const kind of KINDS) {
  test(`${kind} gives back what went in`, () => {
    for (const [name, bytes] of Object.entries(INPUTS)) assert.ok(decompress(kind, compress(kind, bytes)).equals(bytes), name);
  });
}

for (const kind of KINDS.slice(1)) {
  test(`${kind} output is bounded`, () => {
    const bomb = compress(kind, Buffer.alloc(1_000_000));
    assert.throws(() => decompress(kind, bomb, 999_999), { code: "batch-too-large" });
    assert.equal(decompress(kind, bomb, 1_000_000).length, 1_000_000);
  });

  test(`${kind} cut off anywhere is corrupt or incomplete, never another error`, () => {
    const bytes = compress(kind, Buffer.from("to be or not to be, that is the question ".repeat(20)));
    for (let length = 0; length < bytes.length; length++) {
      try {
        decompress(kind, bytes.subarray(0, length));
      } catch (error) {
        assert.equal((error as { code?: string }).code, "corrupt-batch", `${length}: ${String(error)}`);
      }
    }
  });
}

test("snappy is read raw, as librdkafka writes it, and in xerial frames, as Java does", () => {
  const text = INPUTS.text;
  assert.ok(decompress("snappy", Buffer.from(rawSnappy(text))).equals(text));
  assert.equal(compress("snappy", text).toString("latin1", 1, 7), "SNAPPY");
});

test("lz4 frames have independent blocks and the header that Java's client wants", () => {
  assert.equal(compress("lz4", INPUTS.text).toString("hex", 0, 7), "04224d18604082");
});

test("lz4 blocks end as the format wants it: Java refuses those with a match that begins within the last twelve bytes", () => {
  let matches = 0;
  for (let length = 0; length < 600; length++) {
    // two equal halves: the only long match would reach the end, and begins at each distance from it
    for (const period of [1, 7, 10, 11, 12, 13, 100]) {
      const bytes = Buffer.from(Array.from({ length }, (_, i) => (i < length - period ? (i * 37) % 251 : ((i - period) * 37) % 251)));
      const out = Buffer.alloc(length + 32);
      const end = compressLz4Block(bytes, 0, length, out, 0);
      const last = lastMatch(out.subarray(0, end));
      if (last === undefined) continue;
      matches++;
      assert.ok(last.start <= length - 12 && last.end <= length - 5, `${length} bytes, period ${period}: ${JSON.stringify(last)}`);
    }
  }
  assert.ok(matches > 1_000, `${matches}`);
});

/** Of a block: where in the decompressed bytes its last match begins and ends. */
function lastMatch(block: Buffer): { start: number; end: number } | undefined {
  let at = 0;
  let position = 0;
  let last: { start: number; end: number } | undefined;
  const length = (inToken: number): number => {
    let sum = inToken;
    if (inToken === 15)
      do sum += block[at];
      while (block[at++] === 255);
    return sum;
  };
  while (at < block.length) {
    const token = block[at++];
    const literals = length(token >>> 4);
    at += literals;
    position += literals;
    if (at >= block.length) break;
    at += 2;
    const start = position;
    position += length(token & 15) + 4;
    last = { start, end: position };
  }
  return last;
}
