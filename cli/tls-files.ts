import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";

export interface TlsFiles {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface TlsTexts {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/**
 * PEM texts of the named files; the system's certificates when there is no caFile.
 * @throws when one cannot be read, is no PEM, or the key is not the certificate's
 */
export function readTlsFiles({ caFile, certFile, keyFile }: TlsFiles): TlsTexts {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
  const texts = { ca: read(caFile), cert: read(certFile), key: read(keyFile) };
  createSecureContext(texts);
  return texts;
}

export function tlsFileNames({ caFile, certFile, keyFile }: TlsFiles): string[] {
  return [caFile, certFile, keyFile].filter((file) => file !== undefined);
}
