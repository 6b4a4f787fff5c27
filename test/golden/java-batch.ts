/** What test/golden/JavaBatches.java wrote with the Java client. */
import { readFileSync } from "node:fs";

export const JAVA_BATCHES = ["none", "gzip", "snappy", "lz4", "zstd", "abort-marker"] as const;

/** A fresh buffer. All but the abort marker hold 200 records. */
export function javaBatch(name: (typeof JAVA_BATCHES)[number]): Buffer {
  return Buffer.from(readFileSync(new URL(`java-${name}.hex`, import.meta.url), "utf8").replaceAll("\n", ""), "hex");
}
