#!/usr/bin/env node
/** `sluice`: parses the command line, runs one command, and turns what went wrong into a message and an exit code. */
import { CommanderError, type Command } from "commander";
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
  if (json) silence(program);
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

/** Complaints are one JSON line then; the parser's own would be text. */
function silence(command: Command): void {
  command.configureOutput({ writeErr: () => undefined });
  for (const inner of command.commands) silence(inner);
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
