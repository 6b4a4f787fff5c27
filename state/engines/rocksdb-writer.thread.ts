/** The thread behind rocksdb-writer.ts. One write at a time, in the order of the requests. */
import { parentPort } from "node:worker_threads";
import { fromFrames } from "./operation-frames.ts";
import { loadRocksDb } from "./rocksdb-binding.ts";
import type { WriteAnswer, WriteRequest } from "./rocksdb-writer.ts";

const makeDb = await loadRocksDb();

async function write({ handle, frames }: WriteRequest): Promise<void> {
  // Open already, by the main thread, which is also the one that closes it.
  const db = makeDb(handle);
  await db.open();
  const batch = db.batch();
  try {
    for (const { key, value } of fromFrames(frames)) {
      if (value === undefined) batch.del(key);
      else batch.put(key, value);
    }
  } catch (error) {
    await batch.close();
    throw error;
  }
  await batch.write({ sync: true });
}

let last: Promise<void> = Promise.resolve();

parentPort?.on("message", (request: WriteRequest) => {
  last = last
    .then(() => write(request))
    .then(
      () => undefined,
      (error: unknown): WriteAnswer["error"] => ({
        code: error instanceof Error && "code" in error ? String(error.code) : undefined,
        message: error instanceof Error ? error.message : String(error),
      }),
    )
    .then((error) => parentPort?.postMessage({ id: request.id, error } satisfies WriteAnswer));
});
