import { CleanupList } from "../test/support/cleanup.ts";

/** What `work` started is stopped and deleted when it is over, whichever way. */
export async function withCleanup<T>(work: (t: CleanupList) => Promise<T>): Promise<T> {
  const t = new CleanupList();
  try {
    return await work(t);
  } finally {
    await t.run();
  }
}
