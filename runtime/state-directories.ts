/** Which tasks have state on this machine's disk: `<stateDir>/<applicationId>/<taskId>`. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

export function listStateDirectories(stateDir: string, applicationId: string): string[] {
  try {
    return readdirSync(join(stateDir, applicationId)).filter((name) => /^\d+_\d+$/.test(name));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
