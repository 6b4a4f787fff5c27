/** A disk that a test can fill. */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CleanupList, type Cleanup } from "./cleanup.ts";
import { tempDir } from "./temp-dir.ts";

const PIECE_BYTES = 65_536;

/** For `skip`: mounting is a privilege and nothing to install, so its lack is no error in CI either. */
export async function noSmallDisk(): Promise<string | false> {
  const cleanup = new CleanupList();
  try {
    mountDisk(cleanup, 1);
    return false;
  } catch (error) {
    const message = `SKIPPED: no file system of a given size can be mounted here (${(error as Error).message.trim()})`;
    process.stderr.write(`${message}\n`);
    return message;
  } finally {
    await cleanup.run();
  }
}

/** A folder with a small file system of its own, unmounted after the test. */
export function mountDisk(t: Cleanup, sizeMiB: number): string {
  const dir = tempDir(t, "disk");
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB}m`, "tmpfs", dir], { stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => {
    execFileSync("umount", [dir]);
  });
  return dir;
}

/** Takes all the room that is left, whoever else is writing. Returns the file that has it. */
export function fillDisk(disk: string): string {
  const ballast = join(disk, "ballast");
  const file = openSync(ballast, "w");
  const piece = Buffer.alloc(PIECE_BYTES);
  try {
    for (;;) writeSync(file, piece);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(file);
  }
  return ballast;
}
