import { taskStateModel } from "./task-state.model.ts";

taskStateModel("memory", 150);
taskStateModel("level", 60);
taskStateModel("rocksdb", 20);
