/** Bearer tokens for SASL OAUTHBEARER, asked for at each new connection to a broker. */
import { readFile } from "node:fs/promises";
import type { Config } from "./config/schema.ts";
import { CommandFailure } from "./failure.ts";

/** Of the token server. ms. */
const TOKEN_TIMEOUT_MS = 4_000;
/** A token is not used for a new connection in the last part of its life. ms. */
const SPARE_MS = 30_000;
/** Longer answers are no tokens. Bytes. */
const MAX_TOKEN_BYTES = 64 * 1024;

type Sasl = NonNullable<Config["kafka"]["sasl"]>;

/**
 * The file is read each time: whoever renews the token replaces it. From a server one token serves all connections until shortly before
 * its end. Errors name the server and its status, never what was sent or answered.
 */
export function tokenProvider({ tokenFile, tokenUrl = "", clientId = "", clientSecret, scope }: Sasl): () => Promise<{ value: string }> {
  if (tokenFile !== undefined) return async () => ({ value: (await readFile(tokenFile, "utf8")).trim() });
  if (clientSecret === undefined)
    throw new CommandFailure(
      "no-client-secret",
      "kafka.sasl needs a client secret: set kafka.sasl.clientSecretFile or SLUICE_KAFKA_SASL_CLIENT_SECRET",
    );
  let cached: { value: string; until: number } | undefined;
  let asking: Promise<{ value: string }> | undefined;
  const ask = async (): Promise<{ value: string }> => {
    const { value, expiresInMs } = await requestToken(tokenUrl, { clientId, clientSecret, scope });
    cached = { value, until: Date.now() + expiresInMs - Math.min(SPARE_MS, expiresInMs / 2) };
    return { value };
  };
  return () => {
    if (cached !== undefined && Date.now() < cached.until) return Promise.resolve({ value: cached.value });
    return (asking ??= ask().finally(() => (asking = undefined)));
  };
}

async function requestToken(
  url: string,
  { clientId, clientSecret, scope }: { readonly clientId: string; readonly clientSecret: string; readonly scope?: string },
): Promise<{ value: string; expiresInMs: number }> {
  const basic = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString("base64");
  const answer = await fetch(url, {
    method: "POST",
    headers: { authorization: `Basic ${basic}`, accept: "application/json" },
    body: new URLSearchParams({ grant_type: "client_credentials", ...(scope === undefined ? {} : { scope }) }),
    signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
    redirect: "error",
  });
  const text = await answer.text();
  if (!answer.ok) throw new CommandFailure("no-token", `the token server ${new URL(url).host} answered ${answer.status}`);
  const body = text.length > MAX_TOKEN_BYTES ? undefined : parsed(text);
  if (typeof body?.access_token !== "string")
    throw new CommandFailure("no-token", `the token server ${new URL(url).host} gave no access_token`);
  return { value: body.access_token, expiresInMs: typeof body.expires_in === "number" ? body.expires_in * 1000 : 0 };
}

function parsed(text: string): { access_token?: unknown; expires_in?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined; // no JSON: said by the caller, without the text
  }
}
