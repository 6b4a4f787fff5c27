/** mosquitto-go-auth, a plugin for Mosquitto that others wrote: the source at one commit, built here once with Go. */
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheDir } from "./cache-dir.ts";
import { withFileLock } from "./file-lock.ts";
import { runCommand } from "./run-command.ts";

/** June 2025; its tags are of before Go modules, and the module proxy has none of them. */
const COMMIT = "20ee9310fe3a05e5b6915ce6369bcd0837309894";
/** Another place to clone from, where GitHub cannot be reached: a URL or a git directory. */
const SOURCE = process.env.MOSQUITTO_GO_AUTH_SOURCE ?? "https://github.com/iegomez/mosquitto-go-auth";
/** Cold, on two cores that do other things too, it took under three minutes. */
const BUILD_TIMEOUT_MS = 10 * 60_000;

export function goAuthPlugin(): string {
  return join(home(), "go-auth.so");
}

export function goAuthIsBuilt(): boolean {
  return existsSync(goAuthPlugin());
}

/** Needs git, Go 1.24, a C compiler and Mosquitto's headers. */
export async function buildGoAuth(): Promise<void> {
  await withFileLock(join(home(), ".lock"), async () => {
    if (goAuthIsBuilt()) return;
    const source = join(home(), "source");
    await rm(source, { recursive: true, force: true });
    await mkdir(home(), { recursive: true });
    await run("git", ["clone", "--quiet", SOURCE, source], home());
    await run("git", ["-c", "advice.detachedHead=false", "checkout", "--quiet", COMMIT], source);
    // As its Makefile does: the first makes the header that the C part of the second includes.
    await run("go", ["build", "-buildvcs=false", "-buildmode=c-archive", "go-auth.go"], source);
    await run("go", ["build", "-buildvcs=false", "-buildmode=c-shared", "-o", "go-auth.so"], source);
    await rename(join(source, "go-auth.so"), goAuthPlugin());
    await rm(source, { recursive: true, force: true });
  });
}

function home(): string {
  return join(cacheDir(), `mosquitto-go-auth-${COMMIT.slice(0, 12)}`);
}

async function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  const env = { CGO_CFLAGS: "-fPIC", CGO_LDFLAGS: "-shared" };
  const { code, stderr } = await runCommand(command, args, { timeoutMs: BUILD_TIMEOUT_MS, cwd, env });
  if (code !== 0) throw new Error(`${command} ${args[0]} failed: ${stderr.trim().slice(-500)}`);
}
