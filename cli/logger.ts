import pino, { type Logger } from "pino";

/** JSON lines on stderr: stdout belongs to results. Written synchronously, so that the last line before an exit is not lost. */
export function createLogger(level: string): Logger {
  return pino({ level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}
