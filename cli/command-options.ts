import type { Logger } from "pino";
import type { Tree } from "./config/environment.ts";
import type { Config } from "./config/schema.ts";
import { loadConfig } from "./config/load.ts";
import { createLogger } from "./logger.ts";
import { createOutput, type Output } from "./output.ts";

/** What every command takes. */
export interface CommonOptions {
  readonly config?: string;
  readonly json?: boolean;
}

export interface CommandContext {
  readonly config: Config;
  readonly logger: Logger;
  readonly output: Output;
}

export interface CommandTraits {
  /** Log level when the configuration names none. Default: info. */
  readonly quietLevel?: string;
  /** Laid under the configuration file. */
  readonly defaults?: Tree;
  /** Laid over the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Stands in each log line. */
  readonly logBase?: Readonly<Record<string, unknown>>;
}

/** Configuration, logger and output of a command. */
export function commandContext(
  options: CommonOptions,
  { quietLevel = "info", defaults, env, logBase }: CommandTraits = {},
): CommandContext {
  const { config, unknownVariables } = loadConfig(options.config, { ...process.env, ...env }, defaults);
  const logger = createLogger(config.log.level ?? quietLevel, logBase);
  if (unknownVariables.length > 0) logger.warn({ variables: unknownVariables }, "environment variables that name no setting");
  return { config, logger, output: createOutput(options.json === true) };
}
