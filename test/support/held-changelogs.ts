/** An event log that hands out changelogs batch by batch, as the test allows: a restore is as long as the test wants it. */
import { once, EventEmitter } from "node:events";
import type { EventLog, FetchedBatch, LogReader, ReaderOptions } from "../../eventlog/port.ts";
import { wrappedLog } from "./wrapped-log.ts";

export class HeldChangelogs {
  readonly log: EventLog;
  readonly #changes = new EventEmitter();
  #permits = Infinity;
  /** What was handed out is applied, and more is asked for that may not come. */
  waiting = false;

  constructor(inner: EventLog) {
    this.log = wrappedLog(inner, { reader: (options) => this.#reader(inner, options) });
  }

  /** So many batches more, and then none until it is called again. */
  allow(batches: number): void {
    this.#permits = batches;
    this.#changes.emit("change");
  }

  #reader(inner: EventLog, options: ReaderOptions): LogReader {
    const reader = inner.reader(options);
    let buffered: FetchedBatch[] = [];
    let holds = false;
    return {
      assign: (offsets) => {
        holds = offsets.some(({ topic }) => topic.endsWith("-changelog"));
        buffered = []; // the positions that are assigned say what is still wanted
        reader.assign(offsets);
      },
      seek: (offset) => reader.seek(offset),
      pause: (partitions) => reader.pause(partitions),
      resume: (partitions) => reader.resume(partitions),
      poll: async (waitMs) => {
        if (!holds) return reader.poll(waitMs);
        this.waiting = this.#permits <= 0;
        if (this.waiting) await once(this.#changes, "change", { signal: AbortSignal.timeout(waitMs) }).catch(() => undefined);
        if (this.#permits <= 0) return [];
        if (buffered.length === 0) buffered = await reader.poll(waitMs);
        const batches = buffered.splice(0, this.#permits);
        this.#permits -= batches.length;
        return batches;
      },
      wakeup: () => {
        this.#changes.emit("change");
        reader.wakeup();
      },
      get trouble() {
        return reader.trouble;
      },
      close: () => reader.close(),
    };
  }
}
