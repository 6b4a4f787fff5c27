/** The commands service's bounds, each with a default that fits most fleets. Key names as in the configuration's `commands` section. */

export interface CommandBounds {
  /** Commands of one device that were sent and are not done: their order at the device is the order of first sending. */
  readonly deviceWindow: number;
  /** How long an at-most-once command that is out keeps its place in that window without an answer, ms. */
  readonly answerWaitMs: number;
  /** Open commands of one device, waiting ones too; more are rejected. */
  readonly deviceQueue: number;
  /** Open commands of one service; at the bound no more are read from the log. */
  readonly maxOpen: number;
  /** Bytes of their payloads; likewise. */
  readonly maxOpenBytes: number;
  /** Finished commands that a partition remembers, so that the same id again is no new command. About 200 bytes each. */
  readonly remembered: number;
  /** Times an at-least-once command is sent at the most; then it only waits for its acknowledgement. */
  readonly maxAttempts: number;
  /** First pause before a command that did not reach anybody is sent again, ms; doubles up to `retryMaxMs`. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /**
   * First pause after the broker took a command, ms, doubling up to `ackRetryMaxMs`. Longer than the others: for a device that is
   * offline the broker keeps it, and each repetition would be one more.
   */
  readonly ackRetryMinMs: number;
  readonly ackRetryMaxMs: number;
}

export const COMMAND_BOUNDS: CommandBounds = {
  deviceWindow: 8,
  // Longer than a device that is there takes to answer, and than a gateway waits for it (2 s).
  answerWaitMs: 10_000,
  deviceQueue: 100,
  maxOpen: 100_000,
  maxOpenBytes: 64 * 1024 * 1024,
  remembered: 50_000,
  maxAttempts: 16,
  retryMinMs: 1_000,
  retryMaxMs: 60_000,
  ackRetryMinMs: 30_000,
  ackRetryMaxMs: 3_600_000,
};
