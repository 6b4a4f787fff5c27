import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** How long a holder without a readable pid may be in the middle of writing it. */
const PID_GRACE_MS = 5_000;
/** Longest wait: a cold download of Kafka on a slow line. */
const LOCK_WAIT_MS = 10 * 60_000;

/** Runs `body` while holding `path` (a folder made atomically); a lock whose holder died is taken over. */
export async function withFileLock<T>(path: string, body: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const end = Date.now() + LOCK_WAIT_MS;
  while (!(await tryLock(path))) {
    if (Date.now() > end) throw new Error(`lock ${path} was held for ${LOCK_WAIT_MS} ms`);
    await delay(100);
  }
  try {
    return await body();
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    await mkdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    if (await holderIsGone(path)) await rm(path, { recursive: true, force: true });
    return false;
  }
  await writeFile(join(path, "pid"), String(process.pid));
  return true;
}

async function holderIsGone(path: string): Promise<boolean> {
  try {
    const pid = Number(await readFile(join(path, "pid"), "utf8"));
    process.kill(pid, 0);
    return false;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ESRCH") return true;
    if (code !== "ENOENT") return false;
    const made = await stat(path).catch(() => undefined);
    return made !== undefined && Date.now() - made.mtimeMs > PID_GRACE_MS;
  }
}
