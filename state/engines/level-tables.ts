/**
 * LevelDB looks at a table file when it first needs a block of it, and its iterators pass silently over one that they cannot
 * open: rows would be missing from an answer. So that a table is whole is checked when the state is opened.
 */
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { StateError } from "../errors.ts";

/** What a table file ends with: little-endian 0xdb4775248b80fb57 (leveldb/table/format.h). */
const TABLE_MAGIC = Buffer.from([0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]);

/** By file name: what tells a file from another one that took its name since. */
export type TableFiles = ReadonlyMap<string, string>;

/** Before LevelDB opens; what it then leaves untouched is part of the state, and not a rest of a write that a crash cut off. */
export async function listTables(directory: string): Promise<TableFiles> {
  const files = new Map<string, string>();
  for (const name of await tableNames(directory)) {
    const identity = await identityOf(join(directory, name));
    if (identity !== undefined) files.set(name, identity);
  }
  return files;
}

/** @throws StateError `corrupt-state` when a table of `before` that is still there is cut or empty. */
export async function checkTables(directory: string, before: TableFiles): Promise<void> {
  for (const [name, identity] of before) {
    const path = join(directory, name);
    const whole = await endsWithMagic(path);
    if (whole || (await identityOf(path)) !== identity) continue;
    throw new StateError("corrupt-state", `the state in ${directory} is corrupt: ${name} is not a whole table`);
  }
}

async function tableNames(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).filter((name) => /^\d+\.(ldb|sst)$/.test(name));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** True for a file that is gone: LevelDB removed it. */
async function endsWithMagic(path: string): Promise<boolean> {
  let file;
  try {
    file = await open(path);
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
  try {
    const { size } = await file.stat();
    if (size < TABLE_MAGIC.length) return false;
    const end = Buffer.alloc(TABLE_MAGIC.length);
    await file.read(end, 0, end.length, size - end.length);
    return end.equals(TABLE_MAGIC);
  } finally {
    await file.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
