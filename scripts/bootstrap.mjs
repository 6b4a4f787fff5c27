/**
 * `node scripts/bootstrap.mjs <target> [args]`: installs what package-lock.json asks for when it is not there yet, then runs
 * <target> with the Node pinned in package.json. So `npm start` and `npm test` work in a fresh clone on any Node from 18 on.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  COMPILE_CACHE_ENV,
  isInstalled,
  isNewEnough,
  MALLOC_ENV,
  NODE_FLAGS,
  NODE_MAJOR,
  pathWithout,
  readJson,
  resolveTarget,
} from "./bootstrap-lib.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pinnedNode = join(root, "node_modules", "node", "bin", process.platform === "win32" ? "node.exe" : "node");
const env = { ...process.env, PATH: pathWithout(process.env.PATH ?? "", root) };

const PARENT_POLL_MS = 250;

function install() {
  const wanted = readJson(join(root, "package-lock.json"));
  if (isInstalled(wanted, readJson(join(root, "node_modules", ".package-lock.json")))) return;
  process.stderr.write("sluice: installing packages (npm ci) ...\n");
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  // Prebuilt binaries come in the packages: install scripts would only compile, for minutes, where one has none for the platform.
  run("npm", ["ci", "--ignore-scripts", ...quiet], root);
  // The exception: the `node` package fetches its binary in its script.
  run("npm", ["rebuild", "node", ...quiet], root, true);
}

/** Where npm is told never to run install scripts the `node` package still lacks its binary. Does that one step itself. */
function nodeBinary() {
  if (!runs(pinnedNode)) {
    process.stderr.write("sluice: fetching the pinned Node ...\n");
    run(process.execPath, ["installArchSpecificPackage.js"], join(root, "node_modules", "node"), true);
  }
  if (runs(pinnedNode)) return pinnedNode;
  if (isNewEnough(process.versions.node)) return process.execPath;
  throw new Error(`Node ${NODE_MAJOR} is needed: the pinned one could not be fetched, and this is ${process.version}`);
}

function runs(node) {
  return existsSync(node) && spawnSync(node, ["--version"], { stdio: "ignore" }).status === 0;
}

function run(command, args, cwd, mayFail = false) {
  const result = spawnSync(command, args, { cwd, env, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
  if (!mayFail && result.status !== 0)
    throw new Error(`${command} ${args.join(" ")} failed${result.error ? `: ${result.error.message}` : ""}`);
}

/** Runs the target in the foreground: signals are passed on, its end is ours. */
function hand(node, args) {
  const child = spawn(node, args, { stdio: "inherit", env: { ...MALLOC_ENV, ...COMPILE_CACHE_ENV, ...process.env } });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    // A terminal's Ctrl+C reaches the child by itself; passing it on twice would look like "stop at once".
    process.on(signal, () => {
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  }
  stopWithNpm(child);
  child.on("error", fail);
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
    process.exit();
  });
}

/** npm hands SIGTERM to a shell between it and us, which dies without passing it on: when our parent is gone, the target shall stop too. */
function stopWithNpm(child) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    child.kill("SIGTERM");
  }, PARENT_POLL_MS);
  timer.unref();
}

function fail(error) {
  process.stderr.write(`sluice: ${error.message}\n`);
  process.exit(1);
}

try {
  const [target, ...args] = process.argv.slice(2);
  if (target === undefined) throw new Error("usage: node scripts/bootstrap.mjs <file or command> [args]");
  install();
  hand(nodeBinary(), [...NODE_FLAGS, resolveTarget(root, target), ...args]);
} catch (error) {
  fail(error);
}
