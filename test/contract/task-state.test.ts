import { taskStateContract } from "./task-state.contract.ts";
import { taskStateReadsContract } from "./task-state-reads.contract.ts";

taskStateContract("memory");
taskStateContract("level");
taskStateContract("rocksdb");
taskStateReadsContract("memory");
taskStateReadsContract("level");
taskStateReadsContract("rocksdb");
