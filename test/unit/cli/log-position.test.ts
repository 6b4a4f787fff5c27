import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLogPosition, resolvePosition } from "../../../cli/log-position.ts";
import type { Admin } from "../../../eventlog/port.ts";

test("a position is a word, an offset, a time with or without zone, or @ and epoch ms; nothing else", () => {
  assert.deepEqual(parseLogPosition("earliest"), { kind: "earliest" });
  assert.deepEqual(parseLogPosition("1500"), { kind: "offset", offset: 1500 });
  const ms = Date.UTC(2026, 0, 1, 12);
  for (const text of ["2026-01-01T12:00", "2026-01-01T13:00:00+01:00", `@${ms}`])
    assert.deepEqual(parseLogPosition(text), { kind: "time", ms });
  for (const text of ["", "yesterday", "-1", "1.5", "@x", "2026-13-01"]) assert.equal(parseLogPosition(text), undefined, text);
});

test("an offset is moved into what each partition holds", async () => {
  const holds = { earliest: [5, 0], latest: [9, 3] };
  const admin = {
    listOffsets: (partitions: readonly { topic: string; partition: number }[], at: "earliest" | "latest") =>
      Promise.resolve(partitions.map((one, index) => ({ ...one, offset: holds[at][index] }))),
  } as Partial<Admin> as Admin;
  const partitions = [0, 1].map((partition) => ({ topic: "t", partition }));
  const at = async (offset: number): Promise<number[]> =>
    (await resolvePosition(admin, partitions, { kind: "offset", offset })).map((entry) => entry.offset);
  assert.deepEqual(
    [await at(2), await at(7), await at(20)],
    [
      [5, 2],
      [7, 3],
      [9, 3],
    ],
  );
});
