/** What every event log must do: one body, run by each driver's test. Parts by concern: records, transactions, groups. */
import type { TestContext } from "node:test";
import type { EventLog } from "../../eventlog/port.ts";
import { adminContract } from "./eventlog-admin.contract.ts";
import { groupContract } from "./eventlog-group.contract.ts";
import { readerContract } from "./eventlog-reader.contract.ts";
import { txnContract } from "./eventlog-txn.contract.ts";
import { writerContract } from "./eventlog-writer.contract.ts";

export interface LogUnderTest {
  readonly log: EventLog;
  /** Compacts all topics now; absent where that cannot be asked for, and its tests are left out. */
  readonly compact?: () => Promise<unknown>;
}

/** Makes, or hands out, a log for one test; cleans up through `t.after`. Topics and groups have unique names, so a log may be shared. */
export type MakeLog = (t: TestContext) => Promise<LogUnderTest>;

export function eventLogContract(name: string, makeLog: MakeLog, supports: { readonly compact: boolean }): void {
  writerContract(name, makeLog);
  readerContract(name, makeLog, supports);
  txnContract(name, makeLog);
  groupContract(name, makeLog);
  adminContract(name, makeLog);
}
