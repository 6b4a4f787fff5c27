/** Mistakes in a topology, found while it is built. */
export type TopologyErrorCode =
  "duplicate-name" | "bad-name" | "re-keyed" | "store-conflict" | "unknown-output" | "empty" | "bad-window" | "bad-partitions";

export class TopologyError extends Error {
  override readonly name = "TopologyError";
  readonly code: TopologyErrorCode;
  constructor(code: TopologyErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
