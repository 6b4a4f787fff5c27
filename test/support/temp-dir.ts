import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cleanup } from "./cleanup.ts";

/** A fresh folder under the system's temporary folder, removed after the test. */
export function tempDir(t: Cleanup, name = "test"): string {
  const dir = mkdtempSync(join(tmpdir(), `sluice-${name}-`));
  t.after(() => {
    rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  });
  return dir;
}
