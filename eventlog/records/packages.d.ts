/** The parts used of two packages that come without types. */
declare module "lz4js" {
  /** Returns the bytes written to `target`, or 0 when nothing could be compressed. `hashes`: 65,536 zeroed entries. */
  function compressBlock(source: Uint8Array, target: Uint8Array, start: number, length: number, hashes: Uint32Array): number;
  const lz4js: { readonly compressBlock: typeof compressBlock };
  export default lz4js;
}

declare module "snappyjs" {
  export function compress(bytes: Uint8Array): Uint8Array;
}
