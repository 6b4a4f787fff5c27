/** What a supervisor and its workers tell each other over the IPC channel between them. */

export type ToWorker = "ping" | "stop";

export type FromWorker =
  | { readonly type: "pong" }
  /** Its HTTP API is up. */
  | { readonly type: "listening"; readonly url: string }
  /** It is about to end with this error code. */
  | { readonly type: "failed"; readonly code: string };
