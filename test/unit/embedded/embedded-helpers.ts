/** Opens logs in temporary directories. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import type { EmbeddedLogOptions } from "../../../eventlog/embedded/embedded-log.ts";

export async function tempDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-embedded-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export async function openLog(t: TestContext, options: Partial<EmbeddedLogOptions> & { dir: string }): Promise<EmbeddedLog> {
  const log = await EmbeddedLog.open(options);
  t.after(() => log.close());
  return log;
}
