import { taskStateAheadContract } from "./task-state-ahead.contract.ts";
import { taskStateContract } from "./task-state.contract.ts";
import { taskStateReadsContract } from "./task-state-reads.contract.ts";
import { taskStateRestoreContract } from "./task-state-restore.contract.ts";

for (const engine of ["memory", "level", "rocksdb"] as const) {
  taskStateContract(engine);
  taskStateAheadContract(engine);
  taskStateReadsContract(engine);
  taskStateRestoreContract(engine);
}
