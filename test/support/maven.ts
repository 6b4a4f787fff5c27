import { runCommand } from "./run-command.ts";

/** A cold download of Kafka's jars took a minute; a slow line may take several. */
const MAVEN_TIMEOUT_MS = 8 * 60_000;

/** Runs Maven quietly against Maven Central (or the mirror its own settings name). */
export async function runMaven(args: readonly string[], cwd: string): Promise<void> {
  const result = await runCommand("mvn", ["-q", "-B", ...args], { timeoutMs: MAVEN_TIMEOUT_MS, cwd });
  if (result.code !== 0) throw new Error(`mvn ${args[0]} failed: ${String(result.stdout).trim().split("\n").slice(0, 5).join(" | ")}`);
}
