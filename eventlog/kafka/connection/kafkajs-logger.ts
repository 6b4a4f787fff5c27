import type { Logger } from "pino";
import type { KafkaJsLogger } from "./kafkajs.ts";

/**
 * kafkajs's log output on a pino logger. It logs as errors what is retried here as a matter of course (a refused connection),
 * so its errors and warnings become `debug`: what matters reaches the log through the errors the callers get.
 */
export function kafkaJsLogger(logger: Logger): KafkaJsLogger {
  const log = (message: string, extra?: object): void => logger.debug({ kafkajs: extra }, message);
  const quiet = (): void => undefined;
  const mapped: KafkaJsLogger = { info: quiet, debug: quiet, warn: log, error: log, namespace: () => mapped };
  return mapped;
}
