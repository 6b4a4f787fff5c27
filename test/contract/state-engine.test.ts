import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { LevelEngine } from "../../state/engines/level.ts";
import { MemoryEngine } from "../../state/engines/memory.ts";
import { RocksDbEngine } from "../../state/engines/rocksdb.ts";
import { stateEngineContract } from "./state-engine.contract.ts";

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "sluice-engine-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

stateEngineContract({ name: "memory", durable: false, directory, create: () => new MemoryEngine() });
stateEngineContract({ name: "rocksdb", durable: true, directory, create: (path) => new RocksDbEngine(path) });
stateEngineContract({ name: "level", durable: true, directory, create: (path) => new LevelEngine(path) });
