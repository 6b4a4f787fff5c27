import assert from "node:assert/strict";
import { test } from "node:test";
import { ESLint } from "eslint";
import { importRules, mayImport } from "../../../scripts/import-rules.mjs";

const root = new URL("../../..", import.meta.url).pathname.replace(/\/$/, "");

async function reports(file: string, code: string): Promise<string[]> {
  // The rule alone, without the type-aware ones: these files do not exist.
  const eslint = new ESLint({ cwd: root, overrideConfigFile: true, overrideConfig: importRules });
  const [result] = await eslint.lintText(code, { filePath: `${root}/${file}` });
  return result.messages.map((message) => message.message);
}

const FORBIDDEN: [file: string, code: string][] = [
  ["topology/x.js", 'import "../runtime/worker.ts";'],
  ["topology/x.js", 'import "../eventlog/port.ts";'],
  ["state/x.js", 'import "../topology/processor.ts";'],
  ["state/engines/x.js", 'import "../../eventlog/port.ts";'],
  ["eventlog/kafka/x.js", 'export * from "../../state/serde.ts";'],
  ["runtime/x.js", 'import "../processors/settings.ts";'],
  ["processors/x.js", 'import "../runtime/worker.ts";'],
  ["processors/formats/x.js", 'import "../../eventlog/port.ts";'],
  ["bridge/x.js", 'import "../processors/settings.ts";'],
  ["api/x.js", 'import "../runtime/worker.ts";'],
  ["api/routes/x.js", 'const m = await import("../../cli/version.ts");'],
  ["runtime/x.js", 'import "../test/support/wait-for.ts";'],
];

const ALLOWED: [file: string, code: string][] = [
  ["topology/x.js", 'import "../state/store.ts"; import "./graph.ts"; import "node:fs"; import "pino";'],
  ["runtime/x.js", 'import "../topology/graph.ts"; import "../eventlog/port.ts"; import "../state/store.ts";'],
  ["processors/formats/x.js", 'import "../settings.ts";'],
  ["bridge/x.js", 'import "../processors/formats/names.ts"; import "../eventlog/port.ts";'],
  ["api/routes/x.js", 'import "../../runtime/queries.ts"; import "../../processors/formats/names.ts";'],
  ["cli/x.js", 'import "../api/server.ts"; import "../runtime/worker.ts";'],
];

for (const [file, code] of FORBIDDEN) {
  test(`the linter refuses in ${file}: ${code}`, async () => {
    const found = await reports(file, code);
    assert.equal(found.length, 1);
    assert.match(found[0], /must not import/);
  });
}

for (const [file, code] of ALLOWED) {
  test(`the linter allows in ${file}: ${code}`, async () => {
    assert.deepEqual(await reports(file, code), []);
  });
}

test("the rule is part of the repository's own lint configuration, for every folder of the table", async () => {
  const eslint = new ESLint({ cwd: root });
  for (const folder of Object.keys(mayImport)) {
    const config = (await eslint.calculateConfigForFile(`${root}/${folder}/x.ts`)) as { rules: Record<string, unknown[]> };
    assert.deepEqual(config.rules["sluice/import-table"], [2], folder);
  }
});
