/** Where commands write: people's text or JSON lines to stdout, complaints to stderr. */
export interface Output {
  readonly json: boolean;
  /** One result: `text` for people, `data` as one JSON line with --json. */
  result(text: string, data: unknown): void;
}

export function createOutput(json: boolean): Output {
  return {
    json,
    result(text, data) {
      process.stdout.write(`${json ? JSON.stringify(data) : text}\n`);
    },
  };
}

/** The last word of a command that failed. */
export function complain(json: boolean, code: string, message: string): void {
  process.stderr.write(json ? `${JSON.stringify({ error: { code, message } })}\n` : `sluice: ${message}\n`);
}

/** Progress of long work, for people: stdout is for the result. */
export function toStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
