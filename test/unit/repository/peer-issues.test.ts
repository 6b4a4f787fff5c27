/** The table of other systems' issues in docs/faults.md: each has its tests, and each test that names one is in it. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = new URL("../../..", import.meta.url).pathname;
const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** As the issue tracker writes them. */
const NUMBER = /KAFKA-\d+|KIP-\d+|#\d+/g;
/** What tests are named after, of systems that are not ours. */
const FOREIGN = /KAFKA-\d+|(?:goka|Faust|Quix|Bytewax|KafkaJS|Node|kafka-streams) #\d+/;
const TITLE = /\btest\(\s*(?:"([^"]+)"|`([^`]+)`)/g;
const FEWEST_ROWS = 15;

interface Row {
  readonly issue: string;
  readonly tests: readonly { readonly file: string; readonly name: string }[];
}

const rows = read("docs/faults.md")
  .split("\n## What users of other systems met\n")[1]
  .split("\n## ")[0]
  .split("\n")
  .filter((line) => /^\| (?!issue )/.test(line))
  .map((line): Row => {
    const [issue, , tests] = line.slice(2).split(" | ");
    return { issue, tests: [...tests.matchAll(/`(test\/[^`]+)` "([^"]+)"/g)].map(([, file, name]) => ({ file, name })) };
  });

test("every issue of another system that the table names has tests that are named after it, and are there", () => {
  assert.ok(rows.length >= FEWEST_ROWS, `${rows.length} rows`);
  for (const { issue, tests } of rows) {
    assert.ok(tests.length > 0, `${issue}: no test`);
    const numbers = issue.match(NUMBER) ?? [];
    assert.ok(numbers.length > 0, `${issue}: no number`);
    for (const { file, name } of tests) {
      assert.ok(read(file).includes(name), `${issue}: ${file} has no test "${name}"`);
      for (const number of numbers) assert.ok(name.includes(number), `${issue}: "${name}" is not named after it`);
    }
  }
});

test("every test that is named after an issue of another system is in the table", () => {
  const listed = rows.flatMap(({ tests }) => tests.map(({ file, name }) => `${file} ${name}`));
  for (const file of globSync("test/**/*.{test,contract}.ts", { cwd: root }))
    for (const [, plain, template] of read(file).matchAll(TITLE)) {
      const title = plain ?? template;
      if (FOREIGN.test(title))
        assert.ok(
          listed.some((entry) => isOf(entry, file, title)),
          `not in the table: ${file} "${title}"`,
        );
    }
});

/** The table may leave out how a name begins and ends. */
function isOf(entry: string, file: string, title: string): boolean {
  return entry.startsWith(`${file} `) && title.includes(entry.slice(file.length + 1));
}
