import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cleanup } from "./cleanup.ts";
import { spawnGuarded } from "./child-process.ts";
import { freePort } from "./free-port.ts";
import { installRegistry, registryJar } from "./registry-jar.ts";
import { tempDir } from "./temp-dir.ts";
import { waitFor } from "./wait-for.ts";

/** It answers after about 5 s on two quiet cores. */
const START_DEADLINE_MS = 60_000;

export interface Registry {
  /** Base of the Confluent-compatible API. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Apicurio Registry in memory: a real schema registry with Confluent's API. */
export async function startRegistry(t: Cleanup): Promise<Registry> {
  await installRegistry();
  const dir = tempDir(t, "registry");
  const port = await freePort();
  const logFile = join(dir, "registry.log");
  const child = await spawnGuarded("java", ["-Xmx512m", "-XX:+UseSerialGC", "-jar", registryJar()], {
    logFile,
    cwd: dir,
    env: { QUARKUS_HTTP_PORT: String(port), QUARKUS_HTTP_HOST: "127.0.0.1" },
  });
  t.after(async () => {
    await child.stop();
  });
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`;
  await waitFor(
    `the schema registry answers at ${url}`,
    async () => {
      if (!child.running()) throw new Error(`the registry ended: ${readFileSync(logFile, "utf8").slice(-2000)}`);
      return (await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(2_000) })).ok;
    },
    { deadlineMs: START_DEADLINE_MS, intervalMs: 100 },
  );
  return {
    url,
    async stop() {
      await child.stop();
    },
  };
}
