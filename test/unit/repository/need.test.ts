import assert from "node:assert/strict";
import { test } from "node:test";
import { spawnSync } from "node:child_process";
import { tempDir } from "../../support/temp-dir.ts";

/** Asks for kcat where no command can be found, nor installed. */
function ask(t: Parameters<typeof tempDir>[0], ci: string | undefined) {
  const module = new URL("../../support/need.ts", import.meta.url).href;
  const script = `import { need } from ${JSON.stringify(module)}; console.log(JSON.stringify(await need("kcat")));`;
  const empty = tempDir(t, "path");
  const env = { PATH: empty, HOME: empty, TMPDIR: empty, SLUICE_CACHE: empty, ...(ci === undefined ? {} : { CI: ci }) };
  return spawnSync(process.execPath, ["--input-type=module", "-e", script], { env, encoding: "utf8", timeout: 30_000 });
}

test("what is missing skips with a message that names it", (t) => {
  const { status, stdout, stderr } = ask(t, undefined);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /SKIPPED: kcat is missing/);
  assert.match(stderr, /SKIPPED: kcat is missing/);
});

test("in CI what is missing is an error", (t) => {
  const { status, stderr } = ask(t, "true");
  assert.notEqual(status, 0);
  assert.match(stderr, /kcat is missing/);
});
