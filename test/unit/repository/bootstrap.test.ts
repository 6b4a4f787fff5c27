import assert from "node:assert/strict";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { isInstalled, isNewEnough, pathWithout, readJson, resolveTarget } from "../../../scripts/bootstrap-lib.mjs";

const wanted = {
  packages: {
    "": { version: "0.1.0" },
    "node_modules/a": { version: "1.0.0" },
    "node_modules/only-on-mac": { version: "2.0.0", optional: true },
  },
};

test("an installation that has every locked package is left alone, without those of other platforms", () => {
  assert.equal(isInstalled(wanted, { packages: { "node_modules/a": { version: "1.0.0" } } }), true);
});

test("nothing installed, a package missing, or of another version: install", () => {
  assert.equal(isInstalled(wanted, undefined), false);
  assert.equal(isInstalled(wanted, { packages: {} }), false);
  assert.equal(isInstalled(wanted, { packages: { "node_modules/a": { version: "1.0.1" } } }), false);
  assert.equal(isInstalled(undefined, wanted), false);
});

test("the repository's own installation counts as installed", () => {
  const root = new URL("../../..", import.meta.url).pathname;
  assert.equal(isInstalled(readJson(join(root, "package-lock.json")), readJson(join(root, "node_modules", ".package-lock.json"))), true);
});

test("npm does not find the node it is about to delete", () => {
  const path = ["/repo/node_modules/.bin", "/usr/bin", "/repo/other/node_modules/.bin"].join(delimiter);
  assert.equal(pathWithout(path, "/repo"), ["/usr/bin", "/repo/other/node_modules/.bin"].join(delimiter));
});

test("a target is a file of the repository or an installed command, and nothing outside", () => {
  assert.equal(resolveTarget("/repo", "cli/main.ts"), "/repo/cli/main.ts");
  assert.equal(resolveTarget("/repo", "eslint"), "/repo/node_modules/.bin/eslint");
  assert.throws(() => resolveTarget("/repo", "../evil.ts"), /not in this repository/);
});

test("only a Node that runs TypeScript stands in for the pinned one", () => {
  assert.equal(isNewEnough("24.0.0"), true);
  assert.equal(isNewEnough("22.18.0"), false);
});
