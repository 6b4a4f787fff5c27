/**
 * When the certificates end that a service shows to others, as a metric and as a warning in the log. A connection that stands outlives its
 * certificate, as TLS looks at it once: without a warning it would be noticed with the next connection, which fails.
 */
import type { Logger } from "pino";
import { Gauge, type Registry } from "prom-client";
import { certificateEnd, DAY_MS, WARN_DAYS } from "./certificate-end.ts";
import { Reloaded } from "./reloaded.ts";
import type { Closers } from "./service.ts";
import { readTlsFiles, tlsFileNames, type TlsFiles } from "./tls-files.ts";

export type CertificateKind = "kafka-client" | "mqtt-client" | "gateway-server";
/** What is undefined, or has no certificate, is left out. */
export type WatchedFiles = Readonly<Partial<Record<CertificateKind, TlsFiles | undefined>>>;

/** How soon a new one, or the last month of one, is noticed. ms. */
const CHECK_MS = 3_600_000;

interface Watched {
  readonly kind: CertificateKind;
  readonly file: string;
  /** Epoch ms; of the last pair that fitted together, which is the one in use. */
  readonly end: Reloaded<number>;
  warnedAt: number;
}

/**
 * Adds `sluice_certificate_expiry_seconds{kind}` and warns now, and once a day, of each that has less than 30 days left; until closed.
 * @throws as readTlsFiles does
 */
export function watchCertificates(files: WatchedFiles, registry: Registry, logger: Logger, closers: Closers): void {
  const certificates = Object.entries(files).flatMap(([kind, tls]): Watched[] => {
    if (tls?.certFile === undefined) return [];
    // Said where they are used: what is wrong with changed files, and that they are read again.
    const silent = logger.child({}, { level: "silent" });
    const end = new Reloaded(tlsFileNames(tls), () => certificateEnd(readTlsFiles(tls).cert ?? Buffer.alloc(0)), silent);
    return [{ kind: kind as CertificateKind, file: tls.certFile, end, warnedAt: -Infinity }];
  });
  new Gauge({
    name: "sluice_certificate_expiry_seconds",
    help: "When a certificate in use ends, or one of its chain (Unix time).",
    labelNames: ["kind"],
    registers: [registry],
    collect() {
      for (const { kind, end } of certificates) this.set({ kind }, end.current / 1000);
    },
  });
  const check = (): void => {
    for (const one of certificates) warn(one, logger);
  };
  check();
  const timer = setInterval(check, CHECK_MS).unref();
  closers.push("certificates", () => {
    clearInterval(timer);
    return Promise.resolve();
  });
}

function warn(certificate: Watched, logger: Logger): void {
  const now = Date.now();
  const end = certificate.end.current;
  if (end - now >= WARN_DAYS * DAY_MS || now - certificate.warnedAt < DAY_MS) return;
  certificate.warnedAt = now;
  const { kind, file } = certificate;
  const details = { kind, file, ends: new Date(end).toISOString() };
  if (end < now) logger.error(details, "a certificate has ended: put a new one in its place, it is read without a restart");
  else logger.warn(details, "a certificate ends soon: put a new one in its place, it is read without a restart");
}
