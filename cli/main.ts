#!/usr/bin/env node
/** `sluice`: parses the command line, runs one command, and turns what went wrong into a message and an exit code. */
import { CommanderError } from "commander";
import { ConfigError } from "./config/errors.ts";
import { EXIT } from "./exit-codes.ts";
import { CommandFailure } from "./failure.ts";
import { complain } from "./output.ts";
import { buildProgram } from "./program.ts";

/** After the command is done nothing should be left open; what is (a socket in its time-out) does not hold up the exit. */
const LINGER_MS = 1_000;

async function main(argv: readonly string[]): Promise<number> {
  const json = argv.includes("--json");
  let exitCode: number = EXIT.ok;
  const program = buildProgram((code) => (exitCode = code));
  const all = [program, ...program.commands, ...program.commands.flatMap((command) => command.commands)];
  if (json) for (const command of all) command.configureOutput({ writeErr: () => undefined });
  try {
    await program.parseAsync(argv);
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      if (json) complain(true, "usage", error.message);
      return EXIT.usage;
    }
    if (error instanceof ConfigError) {
      complain(json, error.code, error.message);
      return EXIT.usage;
    }
    complain(json, codeOf(error), messageOf(error));
    return EXIT.failure;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "failure";
}

/** Our own errors say what to do; of any other the stack is what helps. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof CommandFailure || "code" in error) return error.message;
  return error.stack ?? error.message;
}

process.exitCode = await main(process.argv);
setTimeout(() => process.exit(), LINGER_MS).unref();
