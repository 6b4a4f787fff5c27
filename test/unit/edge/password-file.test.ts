import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PasswordFile } from "../../../bridge/edge/password-file.ts";
import { need } from "../../support/need.ts";
import { runCommand } from "../../support/run-command.ts";
import { tempDir } from "../../support/temp-dir.ts";

test("names and passwords that mosquitto_passwd wrote are checked", { skip: await need("mosquitto") }, async (t) => {
  const file = join(tempDir(t, "passwords"), "passwords");
  const { code, stderr } = await runCommand("mosquitto_passwd", ["-b", "-c", file, "demo/d/a", "secret"], { timeoutMs: 10_000 });
  assert.equal(code, 0, stderr);
  const passwords = new PasswordFile(readFileSync(file, "utf8"));
  assert.equal(passwords.check("demo/d/a", Buffer.from("secret")), true);
  assert.equal(passwords.check("demo/d/a", Buffer.from("secret ")), false);
  assert.equal(passwords.check("demo/d/b", Buffer.from("secret")), false);
});

test("a line that is none, or takes too long to check, is named by its number and not repeated", () => {
  for (const line of ["name:secret", "name:$6$salt$hash", "name:$7$100000$c2FsdA==$aGFzaA==", "$7$101$c2FsdA==$aGFzaA=="]) {
    assert.throws(
      () => new PasswordFile(`# devices\n\n${line}\n`),
      (error: Error) => error.message.includes("line 3") && !error.message.includes("secret"),
      line,
    );
  }
});
