import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
  /** Fails after this long. Default 10 s. */
  readonly deadlineMs?: number;
  /** Pause between two looks. Default 20 ms. */
  readonly intervalMs?: number;
}

/**
 * Looks at `condition` until it is truthy and returns what it gave. Rejects at the deadline with `what` and, when the
 * condition threw last time, that error as the cause: an assertion may be the condition.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, undefined | null | false | 0 | "">> {
  const deadlineMs = options.deadlineMs ?? 10_000;
  const end = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      last = undefined;
      const value = await condition();
      if (value) return value as Exclude<T, undefined | null | false | 0 | "">;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= end) throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: last });
    await delay(options.intervalMs ?? 20);
  }
}
