/** Bounded retrying of what failed for a passing reason. */
import { LogError } from "../../errors.ts";

export interface RetryOptions {
  /** When to give up, in milliseconds from now. */
  readonly withinMs: number;
  readonly firstDelayMs?: number;
  readonly maxDelayMs?: number;
  /** Asked before each try; true ends it with `closed`. */
  readonly stopped?: () => boolean;
}

/** Long enough not to flood a broker that is starting, short enough that a moved leader costs little. */
const FIRST_DELAY_MS = 20;
const MAX_DELAY_MS = 500;

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Calls `attempt` until it does not reject with `unavailable` or `timed-out`; at the deadline the last error is rejected with. */
export async function retrying<T>(options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + options.withinMs;
  const maxDelayMs = options.maxDelayMs ?? MAX_DELAY_MS;
  for (let delayMs = options.firstDelayMs ?? FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, maxDelayMs)) {
    if (options.stopped?.() === true) throw new LogError("closed", "the client is closed");
    try {
      return await attempt();
    } catch (error) {
      const passing = error instanceof LogError && (error.code === "unavailable" || error.code === "timed-out");
      if (!passing || performance.now() + delayMs >= deadline) throw error;
    }
    await delay(delayMs);
  }
}
