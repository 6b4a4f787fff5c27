/** Checkpoints as fast as it can until it is killed: round N writes N to every row, with position N. Run by task-state-failures.test.ts. */
import type { EngineName } from "../../state/engines/engine.ts";
import { TaskState } from "../../state/task-state.ts";
import type { TaskStateOptions } from "../../state/task-state.ts";
import { counters } from "./task-state-harness.ts";

export const KILLED_ROWS = 20_000;

export function killedOptions(directory: string, engine: EngineName): TaskStateOptions {
  return { directory, engine, stores: [counters], cacheBytes: 64 << 20, identity: "killed 0_0" };
}

if (import.meta.main) {
  const state = await TaskState.open(killedOptions(process.argv[2], process.argv[3] as EngineName));
  const store = state.store(counters);
  for (let round = (state.checkpointPosition("counters") ?? 0) + 1; ; round++) {
    for (let i = 0; i < KILLED_ROWS; i++) store.put(`device-${i}`, { count: round, note: "" });
    state.committed(
      state.freeze(() => undefined),
      new Map([["counters", round]]),
    );
    process.stdout.write(`start ${round}\n`);
    await state.checkpoint();
    process.stdout.write(`done ${round}\n`);
  }
}
