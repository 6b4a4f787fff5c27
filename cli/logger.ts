import pino, { type Logger } from "pino";

/**
 * JSON lines on stderr: stdout belongs to results. Written synchronously, so that the last line before an exit is not lost.
 * @param base stands in each line
 */
export function createLogger(level: string, base?: Readonly<Record<string, unknown>>): Logger {
  return pino({ level, base, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}
