/** A node:test reporter that writes the counts of the run as one JSON line, for scripts/test.ts to add up. */
import type { TestEvent } from "node:test/reporters";

export interface Counts {
  tests: number;
  passed: number;
  failed: number;
  cancelled: number;
  skipped: number;
  todo: number;
}

export default async function* countReporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    // One summary a file, then one without a file for all of them.
    if (event.type === "test:summary" && event.data.file === undefined) {
      const { tests, passed, cancelled, skipped, todo } = event.data.counts;
      const failed = tests - passed - cancelled - skipped - todo;
      yield `${JSON.stringify({ tests, passed, failed, cancelled, skipped, todo })}\n`;
    }
  }
}
