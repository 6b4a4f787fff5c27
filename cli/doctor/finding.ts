/** `error`: it will not work, or lose data. `warning`: it works now. `unseen`: could not be looked at. */
export type Severity = "ok" | "unseen" | "warning" | "error";

export interface Finding {
  /** Which check: stable, for scripts. */
  readonly check: string;
  readonly severity: Severity;
  readonly seen: string;
  /** How to mend it. */
  readonly mend?: string;
}

export interface Check {
  readonly name: string;
  /** Undefined findings are none; what it throws is an error-level finding. */
  readonly run: () => Promise<readonly Omit<Finding, "check">[]>;
}

/** All at once, each under its own time-out: one that hangs or fails hides no other. In the order given. */
export async function runChecks(checks: readonly Check[], timeoutMs: number): Promise<Finding[]> {
  const found = await Promise.all(checks.map((check) => bounded(check, timeoutMs)));
  return found.flat();
}

async function bounded({ name, run }: Check, timeoutMs: number): Promise<Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return (await Promise.race([run(), late])).map((finding) => ({ check: name, ...finding }));
  } catch (error) {
    const seen = error instanceof Error ? error.message : String(error);
    return [{ check: name, severity: "error", seen, mend: "make what is named there reachable or allowed, and run doctor again" }];
  } finally {
    clearTimeout(timer);
  }
}
