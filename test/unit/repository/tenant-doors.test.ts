/** The table of doors between tenants in docs/threat-model.md: each has its tests, and each test of one is in it. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DEVICE_PUBLISHES, DEVICE_READS } from "../../../bridge/device-access.ts";

const root = new URL("../../..", import.meta.url).pathname;
const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** What a test is named after that tries such a door. */
const BETWEEN =
  /another tenant|two tenants|other tenant|its tenant's only|and tenant only|tenants whose|a tenant's token|token's tenants|leads to another/i;
const TITLE = /\btest\(\s*(?:"([^"]+)"|`([^`]+)`)/g;
/** Fewer rows than this: the table was not found. */
const FEWEST_ROWS = 20;

interface Door {
  readonly name: string;
  readonly tests: readonly { readonly file: string; readonly name: string }[];
}

const text = read("docs/threat-model.md");
const doors = text
  .split("\n## Between tenants\n")[1]
  .split("\n## ")[0]
  .split("\n")
  .filter((line) => /^\| (?!door )/.test(line))
  .map((line): Door => {
    const cells = line.slice(2, -2).split(" | ");
    assert.equal(cells.length, 4, line);
    return { name: cells[0], tests: [...cells[3].matchAll(/`(test\/[^`]+)` "([^"]+)"/g)].map(([, file, name]) => ({ file, name })) };
  });

test("every door between tenants has tests, and they are there", () => {
  assert.ok(doors.length >= FEWEST_ROWS, `${doors.length} rows`);
  for (const { name, tests } of doors) {
    assert.ok(tests.length > 0, `${name}: no test`);
    for (const one of tests)
      assert.ok(
        titlesOf(one.file).some((title) => title.includes(one.name)),
        `${name}: ${one.file} has no test "${one.name}"`,
      );
  }
});

test("every topic that a device may use is a door in the table", () => {
  const named = doors
    .filter(({ name }) => name.startsWith("MQTT "))
    .map(({ name }) => name)
    .join();
  for (const topic of [...DEVICE_PUBLISHES, ...DEVICE_READS]) assert.ok(named.includes(`\`${topic}\``), topic);
});

test("every test that tries a door between tenants is in the table", () => {
  const listed = doors.flatMap(({ tests }) => tests);
  for (const file of globSync("test/**/*.{test,contract}.ts", { cwd: root }))
    for (const title of titlesOf(file))
      if (BETWEEN.test(title))
        assert.ok(
          listed.some((one) => one.file === file && title.includes(one.name)),
          `not in the table: ${file} "${title}"`,
        );
});

test("every test file that the threat model names is there", () => {
  for (const [, file] of text.matchAll(/`(test\/[^`]+\.ts)`/g)) assert.ok(existsSync(join(root, file)), file);
});

function titlesOf(file: string): string[] {
  return [...read(file).matchAll(TITLE)].map(([, plain, template]) => plain ?? template);
}
