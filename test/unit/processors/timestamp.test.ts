import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseTimestamp } from "../../../processors/timestamp.ts";

test("every ISO-8601 text that Date writes is read as the same time", () => {
  fc.assert(
    fc.property(fc.date({ min: new Date("0100-01-01"), max: new Date("9999-12-31"), noInvalidDate: true }), (date) => {
      assert.equal(parseTimestamp(date.toISOString()), date.getTime());
    }),
  );
});

test("a zone is applied, and without one a text is UTC whatever zone the worker is in", () => {
  assert.equal(parseTimestamp("2026-01-01T01:30:00+01:30"), Date.UTC(2026, 0, 1));
  assert.equal(parseTimestamp("2025-12-31T22:00:00-0200"), Date.UTC(2026, 0, 1));
  assert.equal(parseTimestamp("2026-01-01T02:00+02"), Date.UTC(2026, 0, 1));
  assert.equal(parseTimestamp("2026-01-01 00:00:00.123456Z"), Date.UTC(2026, 0, 1) + 123);
  assert.equal(parseTimestamp("2026-01-01T00:00:00"), Date.UTC(2026, 0, 1));
  assert.equal(parseTimestamp("2026-01-01"), Date.UTC(2026, 0, 1));
});

test("numbers below 1e11 are seconds, others ms", () => {
  assert.equal(parseTimestamp(1_767_225_600), 1_767_225_600_000);
  assert.equal(parseTimestamp(1_767_225_600.25), 1_767_225_600_250);
  assert.equal(parseTimestamp(1_767_225_600_000), 1_767_225_600_000);
  assert.equal(parseTimestamp(1_767_225_600_000.9), 1_767_225_600_000);
  assert.equal(parseTimestamp(99_999_999_999), 99_999_999_999_000);
  assert.equal(parseTimestamp(100_000_000_000), 100_000_000_000);
  assert.equal(parseTimestamp(-5), -5_000);
  assert.ok(Object.is(parseTimestamp(-0), 0));
});

test("what is no time is NaN", () => {
  const bad: unknown[] = [
    "",
    "now",
    "2026-13-01",
    "2026-02-30",
    "2026-01-01T24:00",
    "2026-01-01T10:61",
    "2026-01-01T10:00:00+25:00",
    "2026-01-01T10:00:00 ",
    "1767225600000",
  ];
  bad.push(
    "2026-01-01T10:00:00.Z",
    "20260101",
    `2026-01-01T00:00:00.${"1".repeat(50)}`,
    1e20,
    Infinity,
    -Infinity,
    NaN,
    true,
    {},
    [],
    2 ** 51,
  );
  for (const value of bad) assert.ok(Number.isNaN(parseTimestamp(value)), JSON.stringify(value));
});
