/** One list of rights: what the tests' brokers give, what the documentation shows. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ingressRights, rightsTable, workerRights } from "../../../cli/acls.ts";
import { configSchema } from "../../../cli/config/schema.ts";

const config = configSchema.parse({});

for (const [who, rights] of [
  ["worker", workerRights(config)],
  ["ingress", ingressRights(config)],
] as const)
  test(`docs/operations.md lists the rights of the ${who}, each once and no other`, () => {
    const text = readFileSync(new URL("../../../docs/operations.md", import.meta.url), "utf8");
    const table = new RegExp(`^\\| ${who} may \\|.*\\n\\|.*\\n((?:\\|.*\\n)+)`, "m").exec(text)?.[1].trimEnd().split("\n");
    const cells = (row: string): string[] => row.split("|").map((cell) => cell.trim());
    assert.deepEqual(table?.map(cells), rightsTable(rights).map(cells));
  });
