/** A node:test reporter that writes what came of the run as one JSON line, for scripts/test.ts to add up and to print last. */
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

export interface Counts {
  tests: number;
  passed: number;
  failed: number;
  cancelled: number;
  skipped: number;
  todo: number;
}

export interface Failure {
  readonly test: string;
  readonly file?: string;
  /** The first lines of what was thrown. */
  readonly error: string;
}

export interface Report {
  readonly counts: Counts;
  readonly failures: readonly Failure[];
}

/** A CI log is often seen by its end only. */
const MAX_ERROR_LINES = 12;

export default async function* countReporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const failures: Failure[] = [];
  for await (const event of source) {
    if (event.type === "test:fail") {
      const { name, file, details } = event.data;
      // A suite, or a test around others, fails with the one inside it.
      if (!("failureType" in details.error) || details.error.failureType !== "subtestsFailed")
        failures.push({ test: name, file, error: textOf(details.error) });
    }
    // One summary a file, then one without a file for all of them.
    if (event.type === "test:summary" && event.data.file === undefined) {
      const { tests, passed, cancelled, skipped, todo } = event.data.counts;
      const failed = tests - passed - cancelled - skipped - todo;
      yield `${JSON.stringify({ counts: { tests, passed, failed, cancelled, skipped, todo }, failures } satisfies Report)}\n`;
    }
  }
}

function textOf(error: Error): string {
  const thrown = error.cause ?? error;
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : inspect(thrown);
  return text.split("\n").slice(0, MAX_ERROR_LINES).join("\n");
}
