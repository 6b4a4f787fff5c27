export interface ConfigIssue {
  /** `kafka.brokers[0]`; the environment variable when the value came from there; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}

/** The configuration is wrong: start with another one. Says every wrong key at once, never a value (it may be a secret). */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "bad-configuration";
  readonly issues: readonly ConfigIssue[];

  constructor(source: string, issues: readonly ConfigIssue[], cause?: unknown) {
    const lines = issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
    super(`configuration ${source} is wrong:\n${lines.map((line) => `  ${line}`).join("\n")}`, { cause });
    this.issues = issues;
  }
}
