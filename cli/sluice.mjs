#!/usr/bin/env node
/** The `sluice` command. Our files are TypeScript: on a Node too old to run them, the pinned one takes over. */
import { isNewEnough } from "../scripts/bootstrap-lib.mjs";

if (isNewEnough(process.versions.node)) {
  await import("./main.ts");
} else {
  process.argv.splice(2, 0, "cli/main.ts");
  await import("../scripts/bootstrap.mjs");
}
