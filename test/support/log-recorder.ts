/** A logger that remembers. */
import { Writable } from "node:stream";
import { pino, type Logger } from "pino";

export interface Line extends Readonly<Record<string, unknown>> {
  /** pino's number: 30 is info, 40 warn, 50 error. */
  readonly level: number;
  readonly msg: string;
}

export function recorder(): { logger: Logger; lines: Line[]; said: (msg: string) => Line[] } {
  const lines: Line[] = [];
  const write = (chunk: Buffer, _encoding: string, done: () => void): void => {
    lines.push(JSON.parse(String(chunk)) as Line);
    done();
  };
  return { logger: pino(new Writable({ write })), lines, said: (msg) => lines.filter((line) => line.msg === msg) };
}
