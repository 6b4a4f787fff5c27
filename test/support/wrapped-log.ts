import type { EventLog } from "../../eventlog/port.ts";

/** The log with some of its methods replaced. */
export function wrappedLog(inner: EventLog, replaced: Partial<EventLog>): EventLog {
  return {
    reader: (options) => inner.reader(options),
    txnWriter: (options) => inner.txnWriter(options),
    plainWriter: (options) => inner.plainWriter(options),
    group: (options) => inner.group(options),
    admin: inner.admin,
    partitionCount: (topic) => inner.partitionCount(topic),
    close: () => inner.close(),
    ...replaced,
  };
}
