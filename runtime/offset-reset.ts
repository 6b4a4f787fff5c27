/** What a worker does when the log no longer has (or does not have yet) the records it should read on with. */
import type { Logger } from "pino";
import { LogError } from "../eventlog/errors.ts";
import type { Admin, FetchedBatch, LogReader } from "../eventlog/port.ts";

/**
 * - `earliest`: go on with the oldest record there is: nothing that is still there is left out.
 * - `latest`: go on with what comes next.
 * - `fail`: stop the worker; a person decides.
 */
export type OffsetResetPolicy = "earliest" | "latest" | "fail";

export class OffsetReset {
  readonly #admin: Pick<Admin, "listOffsets">;
  readonly #policy: OffsetResetPolicy;
  readonly #logger: Logger;

  constructor(admin: Pick<Admin, "listOffsets">, policy: OffsetResetPolicy, logger: Logger) {
    this.#admin = admin;
    this.#policy = policy;
    this.#logger = logger;
  }

  /** reader.poll(waitMs), but a position outside the log is moved into it by the policy; [] then. Rejects with `offset-out-of-range` under `fail`. */
  async poll(reader: LogReader, waitMs: number): Promise<FetchedBatch[]> {
    try {
      return await reader.poll(waitMs);
    } catch (error) {
      if (!(error instanceof LogError) || error.code !== "offset-out-of-range" || this.#policy === "fail") throw error;
      const offsets = await this.#admin.listOffsets(error.partitions, this.#policy, "read_committed");
      // not quiet: records were lost to retention, or the topic was made anew
      this.#logger.error({ err: error, policy: this.#policy, offsets }, "the log does not have the next records: going on elsewhere");
      for (const offset of offsets) reader.seek(offset);
      return [];
    }
  }
}
