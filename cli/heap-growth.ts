/** How much garbage V8's old generation may gather in a worker whose memory ceiling is lower than the default. */
import { setFlagsFromString } from "node:v8";
import { defaultMemoryMiB } from "../runtime/memory-budget.ts";
import type { Config } from "./config/schema.ts";

/** Over what lives there. V8's own rule went to 285 MiB with 110 alive (docs/performance.md, "Memory"). */
const GROWING_PERCENT = 60;

/** Costs up to a fifth more CPU, so only where the ceiling asks for it. For the whole process. */
export function limitHeapGrowth({ processing, state }: Pick<Config, "processing" | "state">): void {
  if (processing.memoryMiB !== undefined && processing.memoryMiB < defaultMemoryMiB(state.cacheMiB))
    setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
}
