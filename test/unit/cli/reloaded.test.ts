import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { Reloaded } from "../../../cli/reloaded.ts";
import { tempDir } from "../../support/temp-dir.ts";

test("a changed file is read again; what cannot be used leaves the value as it was until it can", (t) => {
  t.mock.method(performance, "now", () => now);
  let now = 0;
  const file = join(tempDir(t, "reloaded"), "secret");
  writeFileSync(file, "one");
  const make = (): string => {
    const text = readFileSync(file, "utf8");
    if (text === "half") throw new Error("not whole");
    return text;
  };
  const reloaded = new Reloaded([file], make, pino({ level: "silent" }));
  const look = (): [string, number] => {
    now += 60_000;
    return [reloaded.current, reloaded.version];
  };
  assert.deepEqual(look(), ["one", 0]);
  writeFileSync(file, "half");
  assert.deepEqual(look(), ["one", 0]);
  writeFileSync(file, "two, longer");
  assert.deepEqual(look(), ["two, longer", 1]);
  assert.deepEqual(look(), ["two, longer", 1]);
});
