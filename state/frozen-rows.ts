/** The dirty rows of one commit, encoded. Made by TaskState.freeze(), opaque to others. */
import type { ByteWriter } from "./byte-writer.ts";
import type { Entry } from "./object-cache.ts";

export class FrozenRows {
  readonly entries: Entry[] = [];
  /** Three numbers a row in `out`: key start, key end (where the value starts), value end (-1: deleted). */
  readonly bounds: number[] = [];
  /** undefined when committed or rolled back. */
  out: ByteWriter | undefined;

  constructor(out: ByteWriter) {
    this.out = out;
  }

  get rows(): number {
    return this.entries.length;
  }

  /** Encoded bytes. */
  get bytes(): number {
    return this.out?.position ?? 0;
  }
}
