import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader } from "../../../state/byte-reader.ts";
import { ByteWriter, MAX_SHORT_HUNDREDTHS } from "../../../state/byte-writer.ts";
import { StateError } from "../../../state/errors.ts";
import { serdes } from "../../../state/serdes.ts";

const LIMIT = 2 ** 53;

function written(write: (out: ByteWriter) => void): Buffer {
  const out = new ByteWriter(1);
  write(out);
  return out.toBuffer();
}

function reading(bytes: Buffer): ByteReader {
  const reader = new ByteReader();
  // Inside a larger buffer, as values are.
  reader.reset(Buffer.concat([Buffer.from([0xee]), bytes, Buffer.from([0x01, 0x01])]), 1, 1 + bytes.length);
  return reader;
}

const corrupt = (error: unknown): boolean => error instanceof StateError && error.code === "corrupt-row";

const unsigned = fc.oneof(
  fc.nat(),
  fc.bigInt(0n, BigInt(LIMIT)).map(Number),
  fc.constantFrom(0, 0x7f, 0x80, 0x3fff, 0x4000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 49, LIMIT - 1, LIMIT),
);
const signed = fc.tuple(unsigned, fc.boolean()).map(([value, negative]) => (negative ? -value : value));

test("numbers read back as they were written, up to 2^53", () => {
  fc.assert(
    fc.property(unsigned, signed, fc.double(), fc.nat(0xffff), fc.integer(), (u, s, f, u16, i32) => {
      const bytes = written((out) => {
        out.varint(u);
        out.svarint(s);
        out.f64(f);
        out.u64(u);
        out.u8(u16 & 0xff);
        out.u16(u16);
        out.u32(i32 >>> 0);
        out.i32(i32);
      });
      const reader = reading(bytes);
      assert.equal(reader.varint(), u);
      assert.equal(reader.svarint(), s === 0 ? 0 : s);
      assert.ok(Object.is(reader.f64(), f));
      assert.equal(reader.u64(), u);
      assert.equal(reader.u8(), u16 & 0xff);
      assert.equal(reader.u16(), u16);
      assert.equal(reader.u32(), i32 >>> 0);
      assert.equal(reader.i32(), i32);
      reader.expectEnd();
    }),
  );
});

const hundredths = fc.integer({ min: 1 - MAX_SHORT_HUNDREDTHS, max: MAX_SHORT_HUNDREDTHS - 1 }).map((value) => value / 100);

test("number() gives back any number bit for bit, and is short for what has two digits behind the point", () => {
  const any = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(-0, 0, MAX_SHORT_HUNDREDTHS / 100, -MAX_SHORT_HUNDREDTHS / 100));
  const lengthOf = (value: number): number => {
    const bytes = written((out) => out.number(value));
    const reader = reading(bytes);
    assert.ok(Object.is(reader.number(), value), `${value} in ${bytes.toString("hex")}`);
    reader.expectEnd();
    return bytes.length;
  };
  fc.assert(fc.property(any, (value) => assert.ok(lengthOf(value) <= 9)));
  fc.assert(
    fc.property(
      hundredths.filter((value) => !Object.is(value, -0)),
      (value) => assert.ok(lengthOf(value) <= 5, `${value}`),
    ),
  );
  assert.deepEqual([0, 0.15, -0.3, 21.57, 1_013.25, -0, 0.125].map(lengthOf), [1, 1, 1, 2, 3, 9, 9]);
});

test("times of one row are read back, each short when it is near the one before; another row does not lean on them", () => {
  const time = fc.oneof(
    signed.filter((value) => Math.abs(value) <= LIMIT / 2),
    fc.integer({ min: 1.7e12, max: 1.8e12 }),
  );
  fc.assert(
    fc.property(fc.array(time, { maxLength: 8 }), (times) => {
      const row = (out: ByteWriter): void => {
        out.startTimes();
        for (const value of times) out.time(value);
      };
      const bytes = written((out) => {
        out.time(5);
        row(out);
      });
      assert.deepEqual(bytes.subarray(1), written(row));
      const reader = reading(bytes.subarray(1));
      for (const value of times) assert.equal(reader.time(), value === 0 ? 0 : value);
      reader.expectEnd();
    }),
  );
  assert.equal(written((out) => [1_767_225_600_000, 1_767_225_600_050, 1_767_225_599_990].forEach((at) => out.time(at))).length, 6 + 1 + 1);
});

test("distances that lead beyond 2^53 are `corrupt-row`", () => {
  const reader = reading(
    written((out) => {
      out.svarint(LIMIT);
      out.svarint(2);
    }),
  );
  assert.equal(reader.time(), LIMIT);
  assert.throws(() => reader.time(), corrupt);
});

test("times and numbers in full are those of rows of before, until the next reset", () => {
  const reader = reading(
    written((out) => {
      out.svarint(1_767_225_600_000);
      out.svarint(1_767_225_600_001);
      out.f64(21.57);
    }),
  );
  reader.inFull = true;
  assert.deepEqual([reader.time(), reader.time(), reader.number()], [1_767_225_600_000, 1_767_225_600_001, 21.57]);
  reader.reset(
    written((out) => out.number(21.57)),
    0,
    2,
  );
  assert.equal(reader.number(), 21.57);
});

test("byte order of u64 is numeric order", () => {
  fc.assert(
    fc.property(unsigned, unsigned, (a, b) => {
      const order = Buffer.compare(
        written((out) => out.u64(a)),
        written((out) => out.u64(b)),
      );
      assert.equal(order, Math.sign(a - b));
    }),
  );
});

test("numbers that do not fit are refused by the writer", () => {
  for (const value of [-1, 0.5, NaN, Infinity, LIMIT + 2]) {
    assert.throws(() => written((out) => out.varint(value)), RangeError, `varint ${value}`);
    assert.throws(() => written((out) => out.u64(value)), RangeError, `u64 ${value}`);
  }
  for (const value of [0.5, -0.5, NaN, -Infinity, LIMIT + 2, -LIMIT - 2]) {
    assert.throws(() => written((out) => out.svarint(value)), RangeError, `svarint ${value}`);
  }
});

test("strings and bytes of any length and script read back as they were written", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 300 }),
    fc.string({ unit: "grapheme", maxLength: 60 }),
    fc.string({ maxLength: 60 }),
  );
  fc.assert(
    fc.property(fc.array(text, { maxLength: 5 }), fc.uint8Array({ maxLength: 200 }), (texts, raw) => {
      const bytes = written((out) => {
        for (const value of texts) out.string(value);
        out.varint(raw.length);
        out.bytes(raw);
        out.utf8(texts.join(""));
      });
      const reader = reading(bytes);
      for (const value of texts) assert.equal(reader.string(), Buffer.from(value).toString());
      assert.deepEqual(reader.bytesCopy(reader.varint()), Buffer.from(raw));
      assert.equal(reader.utf8(reader.remaining), Buffer.from(texts.join("")).toString());
    }),
  );
});

test("bytes that end too early are `corrupt-row`, never a read beyond the end", () => {
  const bytes = written((out) => {
    out.varint(LIMIT);
    out.svarint(-LIMIT);
    out.string("grüße aus dem Süden, lang genug für zwei Wege");
    out.f64(1.5);
    out.number(1.5);
    out.number(1 / 3);
    out.time(1_767_225_600_000);
    out.u64(7);
    out.u32(9);
  });
  const readAll = (reader: ByteReader): void => {
    reader.varint();
    reader.svarint();
    reader.string();
    reader.f64();
    reader.number();
    reader.number();
    reader.time();
    reader.u64();
    reader.u32();
    reader.expectEnd();
  };
  readAll(reading(bytes));
  for (let length = 0; length < bytes.length; length++)
    assert.throws(() => readAll(reading(bytes.subarray(0, length))), corrupt, `${length} bytes`);
  assert.throws(() => readAll(reading(Buffer.concat([bytes, Buffer.from([0])]))), corrupt);
});

test("random bytes are read or are `corrupt-row`, nothing else", () => {
  const reads = ["u8", "u16", "u32", "i32", "u64", "varint", "svarint", "time", "f64", "number", "string"] as const;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(fc.constantFrom(...reads), { maxLength: 10 }), (raw, calls) => {
      const reader = reading(Buffer.from(raw));
      try {
        for (const call of calls) reader[call]();
      } catch (error) {
        assert.ok(corrupt(error));
      }
      assert.ok(reader.position <= reader.end);
    }),
    { numRuns: 2_000 },
  );
});

test("a number above 2^53 in the bytes is `corrupt-row`, not a rounded one", () => {
  const nines = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
  assert.throws(() => reading(nines).varint(), corrupt);
  assert.throws(() => reading(nines).svarint(), corrupt);
  assert.throws(() => reading(nines).u64(), corrupt);
  assert.throws(() => reading(Buffer.from([0, 0x20, 0, 0, 0, 0, 0, 1])).u64(), corrupt, "2^53 + 1 would round to 2^53");
  assert.throws(
    () => reading(Buffer.from([0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10])).varint(),
    corrupt,
    "2^53 + 1 would round to 2^53",
  );
});

test("a reader outside its buffer is refused", () => {
  assert.throws(() => new ByteReader().reset(Buffer.alloc(4), 2, 5), corrupt);
  assert.throws(() => new ByteReader().reset(Buffer.alloc(4), 3, 2), corrupt);
});

test("serdes read back what they wrote, inside a larger buffer", () => {
  const roundTrip = <T>(
    serde: { write(value: T, out: ByteWriter): void; read(bytes: Buffer, start: number, end: number): T },
    value: T,
  ): T => {
    const bytes = Buffer.concat([Buffer.from("<"), written((out) => serde.write(value, out)), Buffer.from(">")]);
    return serde.read(bytes, 1, bytes.length - 1);
  };
  assert.equal(roundTrip(serdes.string, "tenant|gerät-\ufffd"), "tenant|gerät-\ufffd");
  assert.deepEqual(roundTrip(serdes.bytes, Buffer.from([0, 255])), Buffer.from([0, 255]));
  assert.equal(roundTrip(serdes.float64, -0.1), -0.1);
  assert.deepEqual(roundTrip(serdes.json<{ a: number[] }>(), { a: [1] }), { a: [1] });
  assert.equal(roundTrip(serdes.void, undefined), undefined);
});

test("serdes refuse bytes that they cannot have written", () => {
  assert.throws(() => serdes.string.read(Buffer.from([0x61, 0xff]), 0, 2), corrupt);
  assert.throws(() => serdes.float64.read(Buffer.alloc(9), 0, 9), corrupt);
  assert.throws(() => serdes.void.read(Buffer.alloc(9), 0, 1), corrupt);
  assert.throws(() => serdes.json().read(Buffer.from("{"), 0, 1), SyntaxError);
});

test("serdes.bytes copies and serdes.slice points; two slices do not share their cursor", () => {
  const source = Buffer.from("abcdef");
  const copy = serdes.bytes.read(source, 1, 3);
  const keys = serdes.slice;
  const values = serdes.slice;
  const key = keys.read(source, 0, 2);
  const value = values.read(source, 2, 6);
  source[1] = 0x78;
  assert.equal(copy.toString(), "bc");
  assert.equal(key.bytes.toString("utf8", key.start, key.end), "ax");
  assert.deepEqual([value.start, value.end], [2, 6]);
  assert.equal(keys.read(source, 3, 4), key);
  assert.equal(written((out) => keys.write(value, out)).toString(), "cdef");
});
