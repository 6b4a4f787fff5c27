/** GET requests to other workers of the group: bounded in time and size, one hop, with the caller's own token. */
import type { FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { ApiError } from "./errors.ts";

/** Marks a request that another worker sent on; such a one is never sent on again. */
export const FORWARDED_HEADER = "x-sluice-forwarded-by";

/** On an answer out of a standby: everything committed longer ago than so many ms is in it. */
export const STALENESS_HEADER = "x-sluice-staleness-ms";

/** Remembered as not answering; beyond it what is remembered is forgotten, and said again. Workers of a group are far fewer. */
const MAX_SILENT = 1_000;

/** Above any page we answer with (1000 devices of some KiB); more is a fault, not data. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

export interface PeerAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  /** Of an answer out of a standby. */
  readonly stalenessMs: string | undefined;
  readonly etag: string | undefined;
  readonly body: string;
}

export class PeerClient {
  readonly #timeoutMs: number;
  readonly #workerId: () => string;
  readonly #logger: Logger;
  /** URLs of workers that did not answer when they were asked last. */
  readonly #silent = new Set<string>();

  constructor(timeoutMs: number, workerId: () => string, logger: Logger) {
    this.#timeoutMs = timeoutMs;
    this.#workerId = workerId;
    this.#logger = logger;
  }

  /**
   * `path` with query. Rejects with ApiError `owner-unreachable` (retriable) on time-out, refused connection or an oversized answer. Where
   * the worker is, which callers are not told, is in the log: once until it answers again.
   */
  async get(url: string, path: string, request: FastifyRequest): Promise<PeerAnswer> {
    try {
      const answer = await this.#ask(url, path, request);
      if (this.#silent.delete(url)) this.#logger.info({ url }, "another worker answers again");
      return answer;
    } catch (cause) {
      if (!this.#silent.has(url)) this.#logger.warn({ url, err: cause }, "another worker does not answer");
      if (this.#silent.size >= MAX_SILENT) this.#silent.clear();
      this.#silent.add(url);
      throw new ApiError("owner-unreachable", "the worker that was asked for it does not answer", { cause, retryAfterMs: 1000 });
    }
  }

  async #ask(url: string, path: string, request: FastifyRequest): Promise<PeerAnswer> {
    const response = await fetch(target(url, path), {
      headers: this.#headers(request),
      signal: AbortSignal.timeout(this.#timeoutMs),
      // A redirect could carry the token to somewhere else.
      redirect: "error",
    });
    return {
      status: response.status,
      contentType: response.headers.get("content-type") ?? "application/octet-stream",
      retryAfter: response.headers.get("retry-after") ?? undefined,
      stalenessMs: response.headers.get(STALENESS_HEADER) ?? undefined,
      etag: response.headers.get("etag") ?? undefined,
      body: await boundedText(response),
    };
  }

  #headers(request: FastifyRequest): Record<string, string> {
    const headers: Record<string, string> = { [FORWARDED_HEADER]: this.#workerId(), accept: "application/json" };
    if (request.headers.authorization !== undefined) headers["authorization"] = request.headers.authorization;
    return headers;
  }
}

/** Keeps a path prefix of the advertised URL (a proxy may need one). */
function target(url: string, path: string): string {
  return url.replace(/\/+$/, "") + path;
}

async function boundedText(response: Response): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`answer over ${MAX_ANSWER_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
