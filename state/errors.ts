/** State's errors: one class, a stable code, and what the caller may do. */

/**
 * - `wait`: another process holds the directory; try again when it has gone.
 * - `wipe`: the local copy is unusable; `TaskState.wipeDirectory` and restore from the changelog.
 * - `rollback`: drop the uncommitted work (`TaskState.rollback`); the same call may succeed later.
 * - `fatal`: retrying cannot help; a person must change something.
 */
export type StateErrorAction = "wait" | "wipe" | "rollback" | "fatal";

/** Stable codes with the action each asks for. */
export const STATE_ERROR_ACTIONS = {
  locked: "wait",
  "corrupt-state": "wipe",
  "corrupt-row": "wipe",
  "incompatible-schema": "fatal",
  "engine-missing": "fatal",
  closed: "fatal",
  engine: "rollback",
} as const satisfies Record<string, StateErrorAction>;

export type StateErrorCode = keyof typeof STATE_ERROR_ACTIONS;

export class StateError extends Error {
  override readonly name = "StateError";
  readonly code: StateErrorCode;
  readonly action: StateErrorAction;

  constructor(code: StateErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.action = STATE_ERROR_ACTIONS[code];
  }
}
