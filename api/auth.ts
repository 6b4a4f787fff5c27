/** Bearer tokens: every route but those marked `config.public`. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { ApiError } from "./errors.ts";

/** Checks `Authorization: Bearer <token>`; throws ApiError `unauthorized`. */
export type Authenticate = (request: FastifyRequest) => void;

export function authenticator(token: string | (() => string)): Authenticate {
  return (request) => {
    const expected = typeof token === "function" ? token() : token;
    const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    if (expected === "" || given === undefined) throw new ApiError("unauthorized", "send the header Authorization: Bearer <token>");
    if (!sameText(given, expected)) throw new ApiError("unauthorized", "the bearer token is not the one this worker was configured with");
  };
}

/** In time that depends on neither text: digests have one length, so even the lengths don't show. */
function sameText(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
