import { homedir } from "node:os";
import { join } from "node:path";

/** Where downloads of the test suite stay between runs: `$SLUICE_CACHE`, else `~/.cache/sluice`. */
export function cacheDir(): string {
  return process.env.SLUICE_CACHE ?? join(homedir(), ".cache", "sluice");
}
