import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import type { EventLog, LogReader } from "../../../eventlog/port.ts";
import { TopicFeed } from "../../../runtime/feed.ts";
import { waitFor } from "../../support/wait-for.ts";

test("a subscriber who comes while the reader of the last one closes is served", async () => {
  const closing = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let readers = 0;
  const reader = {
    assign: () => undefined,
    wakeup: () => undefined,
    poll: () => Promise.resolve([]),
    close: () => {
      closing.resolve();
      return closed.promise;
    },
  } as Partial<LogReader> as LogReader;
  const log = {
    reader: () => {
      readers++;
      return reader;
    },
    partitionCount: () => Promise.resolve(1),
    admin: { listOffsets: () => Promise.resolve([]) },
  } as unknown as EventLog;
  const feed = new TopicFeed(log, pino({ level: "silent" }));
  feed.subscribe(["out"], () => undefined).close();
  await closing.promise;
  feed.subscribe(["out"], () => undefined);
  closed.resolve();
  await waitFor("another reader is opened", () => readers === 2);
  await feed.close();
  assert.equal(readers, 2);
});
