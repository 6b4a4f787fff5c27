/** Opens a task's state as a second process, prints the error's code and message, and ends. Run by task-state-failures.test.ts. */
import type { EngineName } from "../../state/engines/engine.ts";
import { StateError } from "../../state/errors.ts";
import { TaskState } from "../../state/task-state.ts";
import { killedOptions } from "./task-state-killed.child.ts";

try {
  await TaskState.open(killedOptions(process.argv[2], process.argv[3] as EngineName));
  process.stdout.write("opened\n");
} catch (error) {
  if (!(error instanceof StateError)) throw error;
  process.stdout.write(`${error.code}: ${error.message}\n`);
}
