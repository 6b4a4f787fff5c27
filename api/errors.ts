/** The API's errors: one class, stable codes, answered as RFC 9457 problem documents. */

/** Stable codes with the status and title each is answered with. A new code is an addition; a changed one breaks clients. */
export const PROBLEMS = {
  "invalid-request": { status: 400, title: "The request is not valid" },
  unauthorized: { status: 401, title: "A bearer token is needed" },
  forbidden: { status: 403, title: "The token does not open this" },
  "host-not-allowed": { status: 403, title: "The Host header names an unknown host" },
  "route-unknown": { status: 404, title: "There is no such route" },
  "device-unknown": { status: 404, title: "There is no such device" },
  "store-unknown": { status: 404, title: "There is no such store" },
  "row-unknown": { status: 404, title: "There is no such row" },
  "command-unknown": { status: 404, title: "There is no such command" },
  "shadow-unknown": { status: 404, title: "The device has no shadow" },
  "shadow-request-unknown": { status: 404, title: "There is no such request" },
  "version-conflict": { status: 412, title: "The shadow has another version" },
  "payload-too-large": { status: 413, title: "The request body is too large" },
  "request-refused": { status: 400, title: "The request was refused" },
  internal: { status: 500, title: "Something went wrong inside" },
  "commands-unavailable": { status: 501, title: "Commands are not available" },
  "shadow-unavailable": { status: 501, title: "Shadows are not available" },
  "log-unavailable": { status: 503, title: "The event log does not answer" },
  "state-unavailable": { status: 503, title: "The state is moving or being restored" },
  "owner-unreachable": { status: 503, title: "The worker that holds the state cannot be reached" },
  "workers-missing": { status: 503, title: "Not every worker could be asked" },
  "too-many-streams": { status: 503, title: "Too many streams are open" },
  "stream-closing": { status: 503, title: "The worker is stopping" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ProblemCode = keyof typeof PROBLEMS;

/** The body of every error answer, `application/problem+json`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ProblemCode;
  /** Workers that could not be asked (`workers-missing`). */
  readonly missing?: readonly MissingWorker[];
}

export interface MissingWorker {
  readonly workerId: string;
  readonly reason: string;
}

/** Thrown by routes; the error handler turns it into a Problem. `retryAfterMs` becomes a Retry-After header (whole seconds, at least 1). */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ProblemCode;
  readonly retryAfterMs: number | undefined;
  readonly missing: readonly MissingWorker[] | undefined;

  constructor(
    code: ProblemCode,
    detail: string,
    options: { cause?: unknown; retryAfterMs?: number; missing?: readonly MissingWorker[] } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.missing = options.missing;
  }

  toProblem(): Problem {
    const { status, title } = PROBLEMS[this.code];
    const problem = { type: `urn:sluice:problem:${this.code}`, title, status, detail: this.message, code: this.code };
    return this.missing === undefined ? problem : { ...problem, missing: this.missing };
  }
}
