import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withFileLock } from "./file-lock.ts";
import { buildGoAuth, goAuthIsBuilt } from "./go-auth.ts";
import { installKafka, kafkaIsInstalled } from "./kafka-jars.ts";
import { installPaho, pythonHasVenv, pythonWithPaho } from "./python-paho.ts";
import { installRegistry, registryIsInstalled } from "./registry-jar.ts";
import { runCommand } from "./run-command.ts";

/** Longest time one installation may take on a slow line. */
const INSTALL_TIMEOUT_MS = 5 * 60_000;

export type Requirement = "kafka" | "kcat" | "mosquitto" | "registry" | "chromium" | "python-paho" | "openssl" | "mosquitto-go-auth";

interface Recipe {
  readonly present: () => boolean;
  readonly packages: readonly string[];
  /** What is left once the packages are there. */
  readonly then?: () => Promise<void>;
}

const JAVA = ["openjdk-17-jre-headless", "maven"];

const recipes: Record<Requirement, Recipe> = {
  kafka: {
    present: () => process.env.KAFKA_BROKERS !== undefined || (hasCommand("java") && kafkaIsInstalled()),
    packages: JAVA,
    then: installKafka,
  },
  openssl: { present: () => hasCommand("openssl"), packages: ["openssl"] },
  kcat: { present: () => hasCommand("kcat"), packages: ["kcat"] },
  mosquitto: { present: () => hasCommand("mosquitto"), packages: ["mosquitto"] },
  registry: { present: () => hasCommand("java") && registryIsInstalled(), packages: JAVA, then: installRegistry },
  chromium: { present: () => chromiumPath() !== undefined, packages: ["chromium"] },
  "mosquitto-go-auth": { present: goAuthIsBuilt, packages: ["git", "mosquitto-dev", "libmosquitto-dev"], then: buildGoAuth },
  "python-paho": { present: () => pythonWithPaho() !== undefined, packages: ["python3", "python3-venv"], then: installPaho },
};

/**
 * For the `skip` option of a test: false when everything is there (installed now if it had to be), else a message that
 * names what is missing. With CI set, missing things are an error: a run that skipped them must not look green.
 */
export async function need(...requirements: Requirement[]): Promise<string | false> {
  for (const requirement of requirements) {
    const problem = await provide(requirement);
    if (problem === undefined) continue;
    const message = `SKIPPED: ${requirement} is missing and could not be installed (${problem})`;
    if (process.env.CI !== undefined && process.env.CI !== "" && process.env.CI !== "false") throw new Error(message);
    process.stderr.write(`${message}\n`);
    return message;
  }
  return false;
}

/** Debian's Chromium, or what `CHROMIUM_PATH` says. */
export function chromiumPath(): string | undefined {
  return process.env.CHROMIUM_PATH ?? ["chromium", "chromium-browser", "google-chrome"].map(which).find((path) => path !== undefined);
}

async function provide(requirement: Requirement): Promise<string | undefined> {
  const recipe = recipes[requirement];
  if (recipe.present()) return undefined;
  try {
    await withFileLock(join(tmpdir(), "sluice-install.lock"), async () => {
      if (recipe.present()) return;
      await aptInstall(recipe.packages);
      await recipe.then?.();
    });
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}; needs ${recipe.packages.join(", ")}`;
  }
  return recipe.present() ? undefined : `installing ${recipe.packages.join(", ")} did not bring it`;
}

async function aptInstall(packages: readonly string[]): Promise<void> {
  const missing = packages.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || !hasCommand("apt-get"))
    throw new Error(`not root on a Debian-like system; run: apt-get install ${missing.join(" ")}`);
  // RUNLEVEL: Debian's mosquitto package must not start a system-wide broker.
  const env = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const install = ["install", "-y", "--no-install-recommends", ...missing];
  const first = await runCommand("apt-get", install, { timeoutMs: INSTALL_TIMEOUT_MS, env });
  if (first.code === 0) return;
  await runCommand("apt-get", ["update"], { timeoutMs: INSTALL_TIMEOUT_MS, env });
  const second = await runCommand("apt-get", install, { timeoutMs: INSTALL_TIMEOUT_MS, env });
  if (second.code !== 0) throw new Error(`apt-get install ${missing.join(" ")} failed: ${second.stderr.trim().slice(-300)}`);
}

/** A package is there when its command is (maybe not from apt); else dpkg knows. */
function isInstalled(name: string): boolean {
  if (name === "python3-venv") return pythonHasVenv();
  const command = { "openjdk-17-jre-headless": "java", maven: "mvn", python3: "python3" }[name];
  if (command !== undefined) return hasCommand(command);
  return spawnSync("dpkg", ["-s", name], { stdio: "ignore" }).status === 0;
}

function hasCommand(name: string): boolean {
  return which(name) !== undefined;
}

function which(name: string): string | undefined {
  const found = spawnSync("sh", ["-c", `PATH="$PATH:/usr/sbin:/sbin" command -v "$1"`, "sh", name], { encoding: "utf8" });
  return found.status === 0 ? found.stdout.trim() : undefined;
}
