/**
 * The authorization webhook: `POST /mqtt/go-auth/acl` and `/mqtt/go-auth/superuser` for mosquitto-go-auth (allowed: 200, denied: 403)
 * and `POST /mqtt/emqx/acl` for EMQX, which is always answered with 200 and a result: to EMQX any other status means "ask the next
 * one", and by default the last answer is yes. Bodies are JSON or forms.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { TokenBucket, rateLimit } from "../bridge/admission/token-bucket.ts";
import { isAllowed, type AuthPolicy, type AuthQuestion } from "../bridge/broker-auth.ts";

/** A question is a user name and a topic, each at most 64 KiB in MQTT. Bytes. */
const MAX_BODY_BYTES = 160 * 1024;

export interface BrokerAuthOptions extends AuthPolicy {
  /** The broker sends it as `Authorization: Bearer ...`, or as `?secret=` where it can set no header. */
  readonly secret: string;
  /** Questions a second; more are denied. */
  readonly maxPerSecond: number;
}

export type HttpAnswer = readonly [status: number, type: string, body: string];

export class BrokerAuthHttp {
  readonly #options: BrokerAuthOptions;
  readonly #secret: Buffer;
  readonly #bucket = new TokenBucket();
  /** For the metrics. */
  readonly counts = { allowed: 0, denied: 0, refused: 0 };

  constructor(options: BrokerAuthOptions) {
    this.#options = options;
    this.#secret = digest(options.secret);
  }

  /** Undefined: not one of its paths. Never rejects: a question that cannot be read is denied. */
  async answer(request: IncomingMessage): Promise<HttpAnswer | undefined> {
    const url = new URL(request.url ?? "/", "http://localhost");
    const route = /^\/mqtt\/(go-auth|emqx)\/(acl|superuser)$/.exec(url.pathname);
    if (route === null) return undefined;
    const [, broker, what] = route;
    const refusal = this.#refusal(request, url);
    if (refusal !== undefined) {
      this.counts.refused++;
      return broker === "emqx" ? DENY_EMQX : [refusal, "application/json", '{"ok":false}\n'];
    }
    const question = await readQuestion(request);
    // Nobody is a superuser: that would skip the questions about topics.
    const allowed = what === "acl" && question !== undefined && isAllowed(question, this.#options);
    this.counts[allowed ? "allowed" : "denied"]++;
    if (broker === "emqx") return allowed ? ALLOW_EMQX : DENY_EMQX;
    return [allowed ? 200 : 403, "application/json", `{"ok":${allowed}}\n`];
  }

  #refusal(request: IncomingMessage, url: URL): number | undefined {
    const limit = rateLimit(this.#options.maxPerSecond, this.#options.maxPerSecond);
    const nowMs = performance.now();
    if (this.#bucket.waitMs(limit, nowMs) > 0) return 429;
    this.#bucket.take(limit, nowMs);
    if (request.method !== "POST") return 405;
    const given = request.headers.authorization?.replace(/^Bearer /, "") ?? url.searchParams.get("secret") ?? "";
    return timingSafeEqual(digest(given), this.#secret) ? undefined : 401;
  }
}

const ALLOW_EMQX: HttpAnswer = [200, "application/json", '{"result":"allow"}\n'];
const DENY_EMQX: HttpAnswer = [200, "application/json", '{"result":"deny"}\n'];

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

async function readQuestion(request: IncomingMessage): Promise<AuthQuestion | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) return undefined;
      chunks.push(chunk);
    }
  } catch {
    // The broker hung up: nobody reads the answer.
    return undefined;
  }
  const text = Buffer.concat(chunks).toString();
  if (request.headers["content-type"]?.startsWith("application/x-www-form-urlencoded"))
    return Object.fromEntries(new URLSearchParams(text));
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null ? { ...parsed } : undefined;
  } catch {
    return undefined;
  }
}
