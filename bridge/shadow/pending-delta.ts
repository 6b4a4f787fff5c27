/** What one device has to be told, as the book holds it. */
import type { ShadowDocument } from "../../processors/formats/shadow.ts";
import type { Due } from "../due-heap.ts";

export class PendingDelta implements Due {
  readonly key: string;
  readonly document: ShadowDocument;
  /** The device asked: it gets the whole shadow, once, even when it is as desired. */
  readonly asked: boolean;
  /** Of its record's value, what it counts against the bound. */
  readonly bytes: number;
  attempts = 0;
  /** The attempt whose outcome is awaited; 0 for none. */
  inAir = 0;
  dueTs = 0;
  dueOrder = 0;
  heapIndex = -1;

  constructor(key: string, document: ShadowDocument, asked: boolean, bytes: number) {
    this.key = key;
    this.document = document;
    this.asked = asked;
    this.bytes = bytes;
  }
}
