import { readFileSync } from "node:fs";

export interface TlsFiles {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

/** PEM texts of the named files; the system's certificates when there is no caFile. */
export function readTlsFiles({ caFile, certFile, keyFile }: TlsFiles): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
  return { ca: read(caFile), cert: read(certFile), key: read(keyFile) };
}
