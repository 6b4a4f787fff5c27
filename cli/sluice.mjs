#!/usr/bin/env node
/**
 * The `sluice` command. Our files are TypeScript: on a Node too old to run them, the pinned one takes over; on a new one the process
 * begins anew with our flags and settings, as far as the system can (not on Windows).
 */
import { fileURLToPath } from "node:url";
import { COMPILE_CACHE_ENV, isNewEnough, MALLOC_ENV, NODE_FLAGS } from "../scripts/bootstrap-lib.mjs";

if (isNewEnough(process.versions.node)) {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  if (process.platform !== "win32") {
    const args = [process.execPath, ...NODE_FLAGS, main, ...process.argv.slice(2)];
    process.execve?.(process.execPath, args, { ...MALLOC_ENV, ...COMPILE_CACHE_ENV, ...process.env });
  }
  await import("./main.ts");
} else {
  process.argv.splice(2, 0, "cli/main.ts");
  await import("../scripts/bootstrap.mjs");
}
