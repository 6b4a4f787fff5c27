/** Against DNS rebinding: without a token, a page of another site must not reach us under its own name. */
import { ApiError } from "./errors.ts";

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

/** Any port passes: a proxy or a port forward may change it, and the name alone tells the attack. */
export function hostCheck(advertised: string | undefined): (hostHeader: string | undefined) => void {
  const allowed = new Set(LOOPBACK_NAMES);
  if (advertised !== undefined) allowed.add(new URL(advertised).hostname);
  return (hostHeader) => {
    const name = (hostHeader ?? "").toLowerCase().replace(/:\d+$/, "");
    if (!allowed.has(name))
      throw new ApiError("host-not-allowed", "without a token only loopback names and the advertised host are answered");
  };
}

/** Whether listening there keeps the API on this machine. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
