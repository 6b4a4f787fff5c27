/** Bearer tokens: who asks. Every route but those marked `config.public`. */
import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./errors.ts";
import { type ApiToken, FULL_GRANT, type Grant } from "./grant.ts";

/** What the `Authorization` header opens now; throws ApiError `unauthorized`. */
export type Authenticate = (authorization: string | undefined) => Grant;

export interface TokenSources {
  /** Opens everything; a function when it may be rotated. */
  readonly token?: string | (() => string);
  /** Asked at each request; not above some thousands: each of them is compared. */
  readonly tokens?: () => readonly ApiToken[];
}

/** Whether anybody is asked for a token. */
export function hasTokens({ token, tokens }: TokenSources): boolean {
  return token !== undefined || tokens !== undefined;
}

/** Undefined when there are no tokens at all: then everybody may do everything. */
export function authenticator({ token, tokens }: TokenSources): Authenticate | undefined {
  if (!hasTokens({ token, tokens })) return undefined;
  return (authorization) => {
    const given = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
    if (given === undefined) throw new ApiError("unauthorized", "send the header Authorization: Bearer <token>");
    const text = typeof token === "function" ? token() : token;
    const digest = tokenDigest(given);
    const full = text === undefined || text === "" ? [] : [{ ...FULL_GRANT, digest: tokenDigest(text) }];
    const found = matching([...full, ...(tokens?.() ?? [])], digest);
    if (found === undefined) throw new ApiError("unauthorized", "the bearer token is none that this worker was configured with");
    return found;
  };
}

export function tokenDigest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** In time that tells neither which one matches nor how much of it: digests have one length, and all are compared. */
function matching(tokens: readonly ApiToken[], digest: Buffer): ApiToken | undefined {
  let found: ApiToken | undefined;
  for (const token of tokens) if (timingSafeEqual(token.digest, digest)) found ??= token;
  return found;
}
