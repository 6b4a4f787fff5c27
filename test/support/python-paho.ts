import { spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDir } from "./cache-dir.ts";
import { runCommand } from "./run-command.ts";

/** What the publisher's users install. */
const REQUIREMENTS = fileURLToPath(new URL("../../examples/requirements.txt", import.meta.url));
/** One small wheel, on a slow line. */
const PIP_TIMEOUT_MS = 2 * 60_000;
const VENV_TIMEOUT_MS = 60_000;

function venv(): string {
  return join(cacheDir(), "python-paho");
}

function venvPython(): string {
  return join(venv(), "bin", "python");
}

/** A Python that can import paho: the suite's own, else the one on the path (which may be pyenv's and know nothing of Debian's packages). */
export function pythonWithPaho(): string | undefined {
  return [venvPython(), "python3"].find((python) => spawnSync(python, ["-c", "import paho.mqtt.client"], { stdio: "ignore" }).status === 0);
}

/** Makes a virtual environment in the cache folder and installs examples/requirements.txt into it; what was there and did not work is replaced. */
export async function installPaho(): Promise<void> {
  await mkdir(cacheDir(), { recursive: true });
  await run("python3", ["-m", "venv", "--clear", venv()], VENV_TIMEOUT_MS);
  await run(venvPython(), ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS], PIP_TIMEOUT_MS);
}

/** Whether `python3 -m venv` can work: Debian keeps that in a package of its own. */
export function pythonHasVenv(): boolean {
  return spawnSync("python3", ["-c", "import venv, ensurepip"], { stdio: "ignore" }).status === 0;
}

async function run(command: string, args: readonly string[], timeoutMs: number): Promise<void> {
  const { code, stdout, stderr } = await runCommand(command, args, { timeoutMs });
  if (code !== 0) throw new Error(`${command} ${args.slice(0, 3).join(" ")} failed: ${(stderr + String(stdout)).trim().slice(-300)}`);
}
