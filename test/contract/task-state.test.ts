import { taskStateAheadContract } from "./task-state-ahead.contract.ts";
import { taskStateContract } from "./task-state.contract.ts";
import { taskStateReadsContract } from "./task-state-reads.contract.ts";

taskStateContract("memory");
taskStateAheadContract("memory");
taskStateContract("level");
taskStateAheadContract("level");
taskStateContract("rocksdb");
taskStateAheadContract("rocksdb");
taskStateReadsContract("memory");
taskStateReadsContract("level");
taskStateReadsContract("rocksdb");
