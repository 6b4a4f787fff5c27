/** The five compressions of Kafka's record batches, one entry point each way. */
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { LogError } from "../errors.ts";
import type { Compression } from "../port.ts";
import { expandsPast } from "./byte-sink.ts";
import { compressLz4Frame, decompressLz4Frame } from "./lz4-frame.ts";
import { compressSnappy, decompressSnappy } from "./snappy.ts";

/** Lowest three bits of a batch's attributes. Source: CompressionType.java. */
export const COMPRESSION_ID: Readonly<Record<Compression, number>> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 };

const BY_ID: readonly (Compression | undefined)[] = ["none", "gzip", "snappy", "lz4", "zstd"];

/**
 * Unless the reader says otherwise, one compressed batch takes no more memory than this when it is opened, its columns included: a
 * small hostile batch must not take the process's memory. Kafka's default limit of a compressed batch is 1 MiB.
 */
export const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024;

/** Undefined for an id that Kafka does not define. */
export function compressionById(id: number): Compression | undefined {
  return BY_ID[id];
}

export function compress(compression: Compression, bytes: Buffer): Buffer {
  switch (compression) {
    case "none":
      return bytes;
    case "gzip":
      return gzipSync(bytes);
    case "zstd":
      return zstdCompressSync(bytes);
    case "snappy":
      return compressSnappy(bytes);
    case "lz4":
      return compressLz4Frame(bytes);
  }
}

/** Rejects broken input with `corrupt-batch`, and output above `maxBytes` with `batch-too-large`. */
export function decompress(compression: Compression, bytes: Buffer, maxBytes: number = MAX_DECOMPRESSED_BYTES): Buffer {
  switch (compression) {
    case "none":
      return bytes;
    case "gzip":
      return zlib("gzip", maxBytes, () => gunzipSync(bytes, { maxOutputLength: maxBytes }));
    case "zstd":
      return zlib("zstd", maxBytes, () => zstdDecompressSync(bytes, { maxOutputLength: maxBytes }));
    case "snappy":
      return decompressSnappy(bytes, maxBytes);
    case "lz4":
      return decompressLz4Frame(bytes, maxBytes);
  }
}

function zlib(name: string, maxBytes: number, run: () => Buffer): Buffer {
  try {
    return run();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw expandsPast(maxBytes);
    throw new LogError("corrupt-batch", `${name} data cannot be decompressed: ${(cause as Error).message}`, { cause });
  }
}
