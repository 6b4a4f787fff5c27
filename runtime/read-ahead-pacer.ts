/** When, and for which records in the queues, rows are read from disk ahead. */
import type { TaskState } from "../state/task-state.ts";
import type { RecordQueue } from "./record-queue.ts";

/** Few enough that their rows stay small beside the object cache; enough to fill the time of a read. Records. */
const RECORDS_AHEAD = 2_048;

/** One read: long enough to be worth the way to another thread and back. Records. */
const RECORDS_PER_READ = 512;

/** With fewer rows from disk than one in so many records, looking for more costs more than it saves. */
const WORTH_ONE_IN_RECORDS = 8;

export class ReadAheadPacer {
  #position = 0;
  #engineReads = 0;
  #isWorthIt = false;

  /** Once per slice: what is read arrives between slices. */
  tick(queues: readonly RecordQueue[], state: TaskState, visit: (key: unknown) => void): void {
    this.#judge(queues, state);
    if (!this.#isWorthIt) return;
    for (const queue of queues) {
      for (let ahead = queue.recordsAhead; ahead <= RECORDS_AHEAD - RECORDS_PER_READ; ahead += RECORDS_PER_READ) {
        const more = queue.readAhead(RECORDS_PER_READ, visit);
        state.startReadAhead();
        if (!more) break;
      }
    }
  }

  #judge(queues: readonly RecordQueue[], state: TaskState): void {
    let position = 0;
    for (const queue of queues) position += queue.position;
    const records = position - this.#position;
    if (records < RECORDS_PER_READ && records >= 0) return;
    this.#isWorthIt = (state.engineReads - this.#engineReads) * WORTH_ONE_IN_RECORDS >= records;
    this.#position = position;
    this.#engineReads = state.engineReads;
  }
}
