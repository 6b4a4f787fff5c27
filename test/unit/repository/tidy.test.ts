import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

/** The repository checks itself: what a reviewer should not have to look for. */
const root = new URL("../../..", import.meta.url).pathname;
const IGNORED = new Set(["node_modules", "data", "coverage", ".git", ".cache"]);

const files = list("");
const sources = files.filter((file) => /\.(ts|mjs|js)$/.test(file));
const texts = files.filter((file) => /\.(ts|mjs|js|md|json|ya?ml|html|css|py|sh)$|Dockerfile$|^\.ci\//.test(file));

function list(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return IGNORED.has(entry.name) && path !== "examples/data" ? [] : list(path);
    return entry.isFile() ? [path] : [];
  });
}

const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** This file names what it looks for. */
const self = "test/unit/repository/tidy.test.ts";

function matches(among: readonly string[], pattern: RegExp): string[] {
  return among.filter((file) => file !== self).flatMap((file) => (pattern.test(read(file)) ? [file] : []));
}

test("the list of files is the repository's", () => {
  assert.ok(sources.length > 50 && files.includes("package.json") && files.includes(".ci/run"));
});

test("no test is switched off or run alone", () => {
  const tests = sources.filter((file) => file.startsWith("test/"));
  assert.deepEqual(matches(tests, /\b(test|it|describe|suite)\.(skip|only|todo)\(|\b(skip|only|todo): true\b/), []);
});

test("nothing is left to do", () => {
  assert.deepEqual(matches(texts, /\b(TODO|FIXME|XXX|HACK)\b/), []);
});

test("package-lock.json holds no registry address", () => {
  assert.doesNotMatch(read("package-lock.json"), /"resolved"|https?:\/\/[^"]*registry/);
});

test("no file names a path of one machine", () => {
  assert.deepEqual(matches(texts, /(^|[\s"'`(=:])\/(home|Users|work|root)\/[\w.-]/m), []);
});

test("no file has a registry, token or key in it", () => {
  assert.deepEqual(matches(texts, /_authToken|-----BEGIN [A-Z ]*PRIVATE KEY/), []);
});

test("no source is longer than 400 lines", () => {
  assert.deepEqual(
    sources.filter((file) => read(file).split("\n").length > 401),
    [],
  );
});

test("every top folder says what lives there", () => {
  const folders = new Set(sources.filter((file) => file.includes("/")).map((file) => file.split("/")[0]));
  folders.delete("test");
  const silent = [...folders].filter((folder) => !existsSync(join(root, folder, "README.md")));
  assert.deepEqual(silent, []);
});

test("scripts that are run directly can be", () => {
  for (const file of files.filter((name) => name.endsWith(".sh") || name.startsWith(".ci/"))) {
    assert.match(read(file), /^#!/, file);
    accessSync(join(root, file), constants.X_OK);
  }
});

test("relative links in the documents lead somewhere", () => {
  const broken: string[] = [];
  for (const file of files.filter((name) => name.endsWith(".md"))) {
    for (const [, target] of read(file).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
      if (!existsSync(join(root, file, "..", target))) broken.push(`${file}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test("git ignores nothing the repository needs", (t) => {
  const ignored = spawnSync("git", ["-C", root, "ls-files", "--others", "--ignored", "--exclude-standard", "--directory"], {
    encoding: "utf8",
  });
  if (ignored.status !== 0) {
    t.diagnostic("not a git checkout");
    return;
  }
  const kept = ignored.stdout
    .split("\n")
    .filter((path) => path !== "" && !/^(node_modules|data|coverage|\.cache)\//.test(path) && !path.endsWith(".log"));
  assert.deepEqual(kept, []);
});

test("what the scripts of package.json run is there", () => {
  const { scripts, bin } = JSON.parse(read("package.json")) as { scripts: Record<string, string>; bin: Record<string, string> };
  const targets = Object.values(scripts).map((script) => /^node scripts\/bootstrap\.mjs (\S+)/.exec(script)?.[1] ?? script);
  for (const target of [...targets, ...Object.values(bin)]) {
    assert.ok(existsSync(join(root, target)) || existsSync(join(root, "node_modules/.bin", target)), target);
  }
});
