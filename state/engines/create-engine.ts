/** Which class is which engine, and where in a task's directory each keeps its files. */
import { join } from "node:path";
import type { EngineName, StateEngine } from "./engine.ts";
import { LevelEngine } from "./level.ts";
import { MemoryEngine } from "./memory.ts";
import { RocksDbEngine } from "./rocksdb.ts";

/** RocksDB reads LevelDB's files and rewrites them so that LevelDB no longer can: a folder of its own keeps them apart. */
const ROCKSDB_FOLDER = "rocksdb";

/**
 * An engine that is not open. When the setting changes, the files of the engine before stay: after a change back they
 * are continued from their checkpoint, as after any absence.
 */
export function createEngine(name: EngineName, directory: string): StateEngine {
  switch (name) {
    case "memory":
      return new MemoryEngine();
    case "level":
      return new LevelEngine(directory);
    case "rocksdb":
      return new RocksDbEngine(join(directory, ROCKSDB_FOLDER));
  }
}
