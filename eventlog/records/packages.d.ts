/** The part used of a package that comes without types. */
declare module "snappyjs" {
  export function compress(bytes: Uint8Array): Uint8Array;
}
