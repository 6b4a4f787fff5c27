/**
 * Decisions of bootstrap.mjs, apart from what it does, so that a test can look at them.
 * Plain JavaScript without dependencies: it runs on the machine's own Node (18 or later) before anything is installed.
 */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join, relative, sep } from "node:path";

/** Oldest Node that runs our TypeScript files as they are (package.json, engines). */
export const NODE_MAJOR = 24;

/**
 * Of every process of ours. V8 lets the young generation grow to 128 MiB, which a worker fills for nothing (docs/performance.md, "Memory").
 * What it saw survive while a backlog was waiting it makes in the old generation from then on, with all that hangs on it: every batch of a
 * worker that has long caught up, until a collection of everything (docs/performance.md, "Latency").
 * And kafkajs, when nothing throttles it, asks for a timer at minus now and gets one at once: a warning at each start that nobody can act on.
 */
export const NODE_FLAGS = ["--max-semi-space-size=8", "--no-allocation-site-pretenuring", "--disable-warning=TimeoutNegativeWarning"];

/**
 * Of every process of ours that runs on glibc: free buffers go back to the system. Its own rule keeps a freed block of any size up to
 * 32 MiB for reuse, and of buffers that all have other sizes 80 MiB more stayed resident (docs/performance.md, "Memory").
 */
export const MALLOC_ENV = { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: "1048576", MALLOC_TRIM_THRESHOLD_: "33554432" };

/**
 * Of every process of ours: what Node makes of our TypeScript is kept for the next start, which then neither loads the compiler that strips
 * types (20 MiB that stay resident) nor compiles. A file an entry, replaced when the file has changed; where it cannot be written, all is made anew.
 */
export const COMPILE_CACHE_ENV = compileCacheEnv();

/** Empty for a user without a home, as containers have them. */
function compileCacheEnv() {
  try {
    return { NODE_COMPILE_CACHE: join(homedir(), ".cache", "sluice", "compiled") };
  } catch {
    return {};
  }
}

/**
 * Is what npm installed (node_modules/.package-lock.json) what package-lock.json asks for? Optional packages of other
 * platforms may be absent.
 * @param {{packages?: Record<string, {version?: string, optional?: boolean}>} | undefined} wanted
 * @param {{packages?: Record<string, {version?: string}>} | undefined} installed
 * @returns {boolean}
 */
export function isInstalled(wanted, installed) {
  if (wanted?.packages === undefined || installed?.packages === undefined) return false;
  for (const [path, entry] of Object.entries(wanted.packages)) {
    if (path === "") continue;
    const found = installed.packages[path];
    if (found === undefined ? entry.optional !== true : found.version !== entry.version) return false;
  }
  return true;
}

/**
 * @param {string} file
 * @returns {any} undefined when there is no readable JSON
 */
export function readJson(file) {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

/**
 * PATH without the repository's node_modules: npm puts its .bin first, and `npm ci` deletes the node it would find there.
 * @param {string} path
 * @param {string} root
 */
export function pathWithout(path, root) {
  const own = join(root, "node_modules") + sep;
  return path
    .split(delimiter)
    .filter((entry) => !(entry + sep).startsWith(own))
    .join(delimiter);
}

/**
 * What to run: a file of the repository (`cli/main.ts`), or the command of an installed package (`eslint`).
 * @param {string} root
 * @param {string} target
 */
export function resolveTarget(root, target) {
  if (isAbsolute(target)) return target;
  const file = /\.[cm]?[jt]s$/.test(target) ? join(root, target) : join(root, "node_modules", ".bin", target);
  if (relative(root, file).startsWith("..")) throw new Error(`not in this repository: ${target}`);
  return file;
}

/**
 * May this Node stand in when the pinned one could not be fetched?
 * @param {string} version process.versions.node
 */
export function isNewEnough(version) {
  return Number(version.split(".")[0]) >= NODE_MAJOR;
}
