/** CRC-32C (Castagnoli), the checksum of Kafka's record batches. */
import { createRequire } from "node:module";
import { crc32cByTables } from "./crc32c-tables.ts";

/** MIT, from napi-rs; prebuilt for Linux (glibc and musl), macOS, Windows and FreeBSD. 5.9 GB/s where the tables reach 1.7. */
const PACKAGE = "@node-rs/crc32";

/** Below, the call into native code costs more than it saves. */
const MIN_NATIVE_BYTES = 256;

const native = loadNative();

/** The checksum of `bytes[start, end)` as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  return native === undefined || end - start < MIN_NATIVE_BYTES ? crc32cByTables(bytes, start, end) : native(bytes.subarray(start, end));
}

/** Undefined for a platform that it is not built for, or an installation without optional packages. */
function loadNative(): ((bytes: Uint8Array) => number) | undefined {
  try {
    return (createRequire(import.meta.url)(PACKAGE) as { crc32c: (bytes: Uint8Array) => number }).crc32c;
  } catch {
    return undefined;
  }
}
