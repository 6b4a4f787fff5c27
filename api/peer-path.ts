/** A request's path and query as another worker gets them: no URL parser on the way may read another route or tenant out of them. */
import { ApiError } from "./errors.ts";

/** A request line may hold the whole URL (RFC 9112, 3.2.2), which the router takes too. */
const URL_PARTS = /^(?:https?:\/\/[^/?#]*)?([^?#]*)(?:\?([^#]*))?/i;

/**
 * Each part of the path is decoded and encoded anew: as it came, a backslash or a dot segment in it would be resolved by the next
 * parser (WHATWG URL), and `/v1/tenants/a\..\b` would be of tenant b there. Throws ApiError `invalid-request` for dot segments.
 */
export function peerPath(requestUrl: string, parameters: Readonly<Record<string, string>> = {}): string {
  const [, path, search = ""] = URL_PARTS.exec(requestUrl) ?? ["", ""];
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(parameters)) query.set(name, value);
  const encoded = path.split("/").map((part) => encodePart(decodeURIComponent(part)));
  return encoded.join("/") + (query.size === 0 ? "" : `?${query.toString()}`);
}

function encodePart(part: string): string {
  if (isDotSegment(part)) throw new ApiError("invalid-request", 'a part of a path cannot be "." or ".."');
  return encodeURIComponent(part);
}

/** RFC 3986, 5.2.4: every client and proxy resolves them, so they name nothing. */
export function isDotSegment(part: string): boolean {
  return part === "." || part === "..";
}
