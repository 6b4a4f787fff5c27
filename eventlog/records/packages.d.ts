/** The parts used of two packages that come without types. */
declare module "lz4js" {
  /** compressBlock returns the bytes written to `target`, or 0 when nothing could be compressed. `hashes`: 65,536 zeroed entries. */
  const lz4js: { compressBlock(source: Uint8Array, target: Uint8Array, start: number, length: number, hashes: Uint32Array): number };
  export default lz4js;
}

declare module "snappyjs" {
  export function compress(bytes: Uint8Array): Uint8Array;
}
