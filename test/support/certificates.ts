/** Certificates of the test's own, made with openssl. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cleanup } from "./cleanup.ts";
import { runCommand } from "./run-command.ts";
import { tempDir } from "./temp-dir.ts";

const OPENSSL_TIMEOUT_MS = 20_000;

/** PEM files. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Certificate and key in one, as Kafka takes them. */
  readonly bothFile: string;
}

export class Authority {
  readonly caFile: string;
  readonly #dir: string;
  #count = 0;

  static async create(t: Cleanup): Promise<Authority> {
    const authority = new Authority(tempDir(t, "ca"));
    const { caFile } = authority;
    await openssl(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "3650",
      "-subj",
      "/CN=sluice test",
      "-keyout",
      `${caFile}.key`,
      "-out",
      caFile,
    );
    return authority;
  }

  private constructor(dir: string) {
    this.#dir = dir;
    this.caFile = join(dir, "ca.pem");
  }

  /** For 127.0.0.1 and localhost, as server and client. */
  async issue(commonName: string, days = 365): Promise<CertificateFiles> {
    const serial = ++this.#count; // of our own: openssl's file of serials is not for several at once
    const base = join(this.#dir, `${commonName.replaceAll("/", "-")}-${serial}`);
    const files = { certFile: `${base}.pem`, keyFile: `${base}.key`, bothFile: `${base}.both.pem` };
    writeFileSync(`${base}.ext`, "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n");
    await openssl(
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-subj",
      `/CN=${commonName.replaceAll("/", "\\/")}`,
      "-keyout",
      files.keyFile,
      "-out",
      `${base}.csr`,
    );
    await openssl(
      "x509",
      "-req",
      "-in",
      `${base}.csr`,
      "-CA",
      this.caFile,
      "-CAkey",
      `${this.caFile}.key`,
      "-set_serial",
      String(serial),
      "-days",
      String(days),
      "-extfile",
      `${base}.ext`,
      "-out",
      files.certFile,
    );
    writeFileSync(files.bothFile, `${readFileSync(files.keyFile, "utf8")}${readFileSync(files.certFile, "utf8")}`);
    return files;
  }
}

async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await runCommand("openssl", args, { timeoutMs: OPENSSL_TIMEOUT_MS });
  if (code !== 0) throw new Error(`openssl ${args[0]} failed: ${stderr}`);
}

/** Settings of a broker whose proxied listener asks clients for a certificate of that authority. */
export function mutualTlsListener(authority: Authority, server: CertificateFiles): Record<string, string> {
  const listener = "listener.name.proxied.ssl.";
  return {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SSL",
    [`${listener}keystore.type`]: "PEM",
    [`${listener}keystore.location`]: server.bothFile,
    [`${listener}truststore.type`]: "PEM",
    [`${listener}truststore.location`]: authority.caFile,
    [`${listener}client.auth`]: "required",
  };
}
