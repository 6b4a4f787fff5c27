/** What can be seen of a gateway's configuration and disk, before an outage shows it. */
import { readdir, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Config } from "../config/schema.ts";
import { fileFinding } from "./certificates.ts";
import type { Check, Finding } from "./finding.ts";

type Found = Omit<Finding, "check">;
type GatewayConfig = Pick<Config, "gateway" | "topicDefaults">;

/** What the store takes on disk beyond `maxBytes`: deleted and not given back yet, and level's own files. */
const STORE_OVERHEAD_BYTES = 80 * 1024 * 1024;
/** Kafka's own default, and what `sluice topics create` sets. */
const DEFAULT_RETENTION_MS = 604_800_000;
const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "localhost"]);

export function gatewayChecks(config: GatewayConfig): Check[] {
  const { tls } = config.gateway.listen;
  const checks: Check[] = [
    { name: "gateway.listen", run: () => Promise.resolve(listenFindings(config)) },
    { name: "gateway.age", run: () => Promise.resolve(ageFindings(config)) },
    { name: "gateway.store", run: async () => storeFindings(config, await roomFor(config.gateway.store.dir)) },
  ];
  if (tls !== undefined) checks.push({ name: "certificates", run: () => Promise.resolve([fileFinding(tls.certFile, Date.now())]) });
  return checks;
}

export function listenFindings({ gateway: { listen } }: GatewayConfig): Found[] {
  const { host, tls, passwordsFile, clientCertificates, anonymous } = listen;
  const isOpen = !LOOPBACK.has(host);
  if (passwordsFile === undefined && !clientCertificates && !anonymous)
    return [{ severity: "error", seen: "nobody may connect", mend: "set gateway.listen.passwordsFile or clientCertificates" }];
  const found: Found[] = [];
  if (anonymous && isOpen)
    found.push({
      severity: "warning",
      seen: `anybody who reaches ${host} may publish as any device`,
      mend: "gateway.listen.passwordsFile or clientCertificates instead of anonymous",
    });
  if (passwordsFile !== undefined && tls === undefined && isOpen)
    found.push({ severity: "warning", seen: "passwords can be read by whoever is on the line", mend: "set gateway.listen.tls" });
  return found.length > 0 ? found : [{ severity: "ok", seen: `devices are asked who they are${isOpen ? "" : ", or are on this machine"}` }];
}

export function ageFindings({ gateway, topicDefaults: { retentionMs = DEFAULT_RETENTION_MS } }: GatewayConfig): Found[] {
  const { maxAgeMs } = gateway.store;
  if (gateway.uplink.to !== "kafka" || retentionMs < 0 || maxAgeMs < retentionMs)
    return [{ severity: "ok", seen: `messages are kept for ${maxAgeMs} ms` }];
  return [
    {
      severity: "error",
      seen: `messages are kept for ${maxAgeMs} ms, and Kafka deletes telemetry that was received ${retentionMs} ms ago: some would go unread`,
      mend: "gateway.store.maxAgeMs well below the retention of the raw topic",
    },
  ];
}

/** @param room bytes that are free, and those the store has already */
export function storeFindings({ gateway: { store } }: GatewayConfig, { free, used }: { free: number; used: number }): Found[] {
  const wanted = store.maxBytes + STORE_OVERHEAD_BYTES + store.minFreeBytes;
  if (free + used >= wanted) return [{ severity: "ok", seen: `room for ${store.maxBytes} bytes in ${store.dir}` }];
  return [
    {
      severity: "error",
      seen: `the disk of ${store.dir} has ${free + used} bytes for the store, which may come to need ${wanted}`,
      mend: "a lower gateway.store.maxBytes, or a larger disk: with less than minFreeBytes free, devices are refused whatever onFull says",
    },
  ];
}

async function roomFor(dir: string): Promise<{ free: number; used: number }> {
  const { bavail, bsize } = await statfs(await existing(resolve(dir)));
  let used = 0;
  for (const name of await readdir(dir).catch(() => [])) used += (await stat(join(dir, name)).catch(() => undefined))?.size ?? 0;
  return { free: bavail * bsize, used };
}

/** The folder, or the nearest above it that is there already. */
async function existing(dir: string): Promise<string> {
  if ((await stat(dir).catch(() => undefined)) !== undefined || dirname(dir) === dir) return dir;
  return existing(dirname(dir));
}
