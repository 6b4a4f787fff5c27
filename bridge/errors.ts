/** The bridge's errors: one class, a stable code. */

/**
 * - `bad-settings`: a setting makes no sense; fix the configuration.
 * - `subscribe-refused`: the broker refused the subscription (an ACL, most likely); retried with back-off.
 * - `no-answer`: the broker has not answered a subscription in time; the connection was ended, and is tried again.
 * - `malformed-packet`: the broker sent what is no MQTT; the connection was ended.
 * - `write-failed`: the event log did not take a message; the connection was ended so that the broker delivers it again.
 * - `registry-full`: the registry of devices has more than its setting allows; raise it.
 * - `stopped`: stop() was called before start() had connected.
 */
export type BridgeErrorCode =
  "bad-settings" | "subscribe-refused" | "no-answer" | "malformed-packet" | "write-failed" | "registry-full" | "stopped";

export class BridgeError extends Error {
  override readonly name = "BridgeError";
  readonly code: BridgeErrorCode;

  constructor(code: BridgeErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
  }
}
