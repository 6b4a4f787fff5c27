import { X509Certificate } from "node:crypto";

/** Left of a certificate when it is time to do something about it. */
export const WARN_DAYS = 30;
export const DAY_MS = 86_400_000;

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/**
 * When a certificate ends, epoch ms: the earliest end in a PEM text, which may hold the chain behind it.
 * @throws when there is one in it that cannot be read, or none
 */
export function certificateEnd(pem: Buffer): number {
  const blocks = pem.toString("latin1").match(BLOCK) ?? [pem];
  return Math.min(...blocks.map((block) => new X509Certificate(block).validToDate.getTime()));
}
