import { taskStateContract } from "./task-state.contract.ts";

taskStateContract("memory");
taskStateContract("level");
