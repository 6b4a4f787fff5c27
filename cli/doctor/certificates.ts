/** How long certificates are good for: our own from their files, the brokers' from a handshake. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { connect, type ConnectionOptions } from "node:tls";
import { certificateEnd, DAY_MS, WARN_DAYS } from "../certificate-end.ts";
import type { Finding } from "./finding.ts";

const ERROR_DAYS = 3;

/** Of a certificate of ours in a PEM file, and the chain behind it. */
export function fileFinding(file: string, now: number): Omit<Finding, "check"> {
  const pem = readFileSync(file);
  const certificate = new X509Certificate(pem);
  if (certificate.validFromDate.getTime() > now)
    return {
      severity: "error",
      seen: `${file} is only valid from ${certificate.validFromDate.toISOString()}`,
      mend: "check the clock here, or have it issued again",
    };
  return daysLeft(file, new Date(certificateEnd(pem)), now, "put a new one in its place: it is read without a restart");
}

/** Of a server, seen in a handshake, which it may end with an alert where it wants a client certificate: that is no matter here. */
export function serverFinding(
  name: string,
  host: string,
  port: number,
  tls: ConnectionOptions,
  now: number,
): Promise<Omit<Finding, "check">> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...tls, host, port, ...(isIP(host) === 0 ? { servername: host } : {}), rejectUnauthorized: false });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      const { valid_to: validTo } = socket.getPeerCertificate();
      const { authorized, authorizationError } = socket;
      socket.destroy();
      if (authorized) resolve(daysLeft(name, new Date(validTo), now, "have the broker's certificate renewed"));
      else
        resolve({
          severity: "error",
          seen: `${name}: its certificate is refused (${String(authorizationError)})`,
          mend: "set caFile to who issued it, and connect under a name that is in it",
        });
    });
  });
}

function daysLeft(name: string, until: Date, now: number, mend: string): Omit<Finding, "check"> {
  const days = Math.floor((until.getTime() - now) / DAY_MS);
  if (days < 0) return { severity: "error", seen: `${name}: expired on ${until.toISOString()}`, mend };
  const seen = `${name}: ${days} days left`;
  return days < ERROR_DAYS
    ? { severity: "error", seen, mend }
    : days < WARN_DAYS
      ? { severity: "warning", seen, mend }
      : { severity: "ok", seen };
}
