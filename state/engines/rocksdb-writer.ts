/**
 * Writes batches from a thread of its own, one for all databases of the process: the binding's write blocks its
 * thread, which for a checkpoint of a large task is far longer than a slice of the event loop may take.
 */
import { Worker } from "node:worker_threads";
import { StateError } from "../errors.ts";
import type { Frame } from "./operation-frames.ts";

export interface WriteRequest {
  readonly id: number;
  readonly handle: bigint;
  readonly frames: readonly Frame[];
}

export interface WriteAnswer {
  readonly id: number;
  readonly error: { readonly code: string | undefined; readonly message: string } | undefined;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

class RocksDbWriter {
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | undefined;
  #lastId = 0;

  /** In one atomic batch, on disk when it resolves. The frames are handed over: they must not be used after. */
  write(handle: bigint, frames: readonly Frame[]): Promise<void> {
    const thread = (this.#thread ??= this.#start());
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      // Only a write under way keeps the process alive.
      thread.ref();
      const request: WriteRequest = { id, handle, frames };
      thread.postMessage(
        request,
        frames.map((frame) => frame.buffer),
      );
    });
  }

  #start(): Worker {
    const thread = new Worker(new URL("./rocksdb-writer.thread.ts", import.meta.url));
    thread.on("message", ({ id, error }: WriteAnswer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) thread.unref();
      if (error === undefined) waiting?.resolve();
      else waiting?.reject(Object.assign(new Error(error.message), { code: error.code }));
    });
    thread.on("error", (error) => this.#gone(error));
    thread.on("exit", () => this.#gone(new Error("the thread has ended")));
    return thread;
  }

  /** The next write starts another thread. */
  #gone(cause: unknown): void {
    this.#thread = undefined;
    for (const { reject } of this.#waiting.values()) reject(new StateError("engine", "the RocksDB writer thread failed", cause));
    this.#waiting.clear();
  }
}

export const rocksDbWriter = new RocksDbWriter();
