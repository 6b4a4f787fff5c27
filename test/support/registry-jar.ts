import { existsSync, readdirSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheDir } from "./cache-dir.ts";
import { withFileLock } from "./file-lock.ts";
import { runMaven } from "./maven.ts";
import { runCommand } from "./run-command.ts";

const VERSION = "2.6.13.Final";
const ARTIFACT = `io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`;

function home(): string {
  return join(cacheDir(), `apicurio-${VERSION}`);
}

function appDir(): string {
  return join(home(), "app");
}

export function registryIsInstalled(): boolean {
  return existsSync(appDir());
}

/** The runner jar; its libraries lie beside it. */
export function registryJar(): string {
  const name = readdirSync(appDir()).find((file) => file.endsWith("-runner.jar"));
  if (name === undefined) throw new Error(`no runner jar in ${appDir()}`);
  return join(appDir(), name);
}

/** Fetches Apicurio Registry from Maven Central and unpacks it, once per machine. */
export async function installRegistry(): Promise<void> {
  await withFileLock(join(home(), ".lock"), async () => {
    if (registryIsInstalled()) return;
    const partial = join(home(), "app.partial");
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await runMaven(["dependency:get", `-Dartifact=${ARTIFACT}`, "-Dtransitive=false"], home());
    await runMaven(["dependency:copy", `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${home()}`], home());
    const archive = readdirSync(home()).find((file) => file.endsWith(".tar.gz"));
    if (archive === undefined) throw new Error("Maven copied no archive of the registry");
    const unpacked = await runCommand("tar", ["-xzf", join(home(), archive), "-C", partial], { timeoutMs: 60_000 });
    if (unpacked.code !== 0) throw new Error(`tar failed: ${unpacked.stderr}`);
    await rm(join(home(), archive));
    const [only, ...others] = readdirSync(partial);
    const wrapped = others.length === 0 && !only.endsWith(".jar");
    await rename(wrapped ? join(partial, only) : partial, appDir());
    await rm(partial, { recursive: true, force: true });
  });
}
