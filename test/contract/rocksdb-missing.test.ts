/** An installation without the optional package, or a platform it has no binary for. */
import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RocksDbEngine } from "../../state/engines/rocksdb.ts";
import { StateError } from "../../state/errors.ts";

test("without its package the engine says which one is missing, and what else can be set", async (t) => {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      if (specifier === "@nxtedition/rocksdb") throw new Error("Cannot find package");
      return next(specifier, context);
    },
  });
  t.after(() => hooks.deregister());
  await assert.rejects(new RocksDbEngine(join(tmpdir(), "sluice-never-made")).open(), (error) => {
    assert.ok(error instanceof StateError);
    assert.equal(error.code, "engine-missing");
    assert.equal(error.action, "fatal");
    assert.match(error.message, /@nxtedition\/rocksdb/);
    assert.match(error.message, /state\.engine to level/);
    return true;
  });
});
