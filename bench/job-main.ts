import { fileURLToPath } from "node:url";

const PEER_JOB = fileURLToPath(new URL("peer-job.ts", import.meta.url));

/** The program of `--job peers`; undefined for `iot`, which is `sluice worker`. */
export function jobMain(job: string): string | undefined {
  return job === "peers" ? PEER_JOB : undefined;
}
