/**
 * Strings by their UTF-8 bytes: a text that comes again and again is not made anew. That costs half of what making it does, the string's
 * hash is known to every Map, and a look-up there compares references.
 */

/** Longer texts are made each time. Bytes. */
const MAX_TEXT_BYTES = 64;
const WORD_BYTES = 4;
/** Slots looked at for a text; beyond, it is made anew: keeps texts that someone chose to meet in one place from costing more. */
const MAX_PROBES = 16;
const INITIAL_SLOTS = 1 << 10;
const FREE = -1;

export class TextTable {
  readonly #maxTexts: number;
  #texts: string[] = [];
  /** Where each text's bytes begin in #bytes, on a whole word; and where the last one ends. */
  #starts: number[] = [];
  #lengths: number[] = [];
  #bytes = new DataView(new ArrayBuffer(INITIAL_SLOTS * WORD_BYTES));
  #used = 0;
  /** A power of two of them, half of them free: an index of #texts, or FREE. */
  #slots = new Int32Array(INITIAL_SLOTS).fill(FREE);
  /** Of the buffer that was asked for last. */
  #source: Uint8Array | undefined;
  #view: DataView = this.#bytes;

  /** @param maxTexts when it has so many, it begins anew */
  constructor(maxTexts: number) {
    this.#maxTexts = maxTexts;
  }

  /** The text of `bytes[start, end)`, and the same string as before when it is in the table; undefined when it is not: see add(). */
  find(bytes: Uint8Array, start: number, end: number): string | undefined {
    const length = end - start;
    if (length > MAX_TEXT_BYTES) return undefined;
    const view = this.#viewOf(bytes);
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = hashOf(view, start, end) & mask;
    for (let probes = 0; probes < MAX_PROBES; probes++) {
      const index = slots[at];
      if (index === FREE) return undefined;
      if (this.#lengths[index] === length && this.#holds(view, start, end, this.#starts[index])) return this.#texts[index];
      at = (at + 1) & mask;
    }
    return undefined;
  }

  /** Keeps a text that find() did not have. */
  add(bytes: Uint8Array, start: number, end: number, text: string): void {
    const length = end - start;
    if (length > MAX_TEXT_BYTES) return;
    if (this.#texts.length >= this.#maxTexts) this.#clear();
    const index = this.#texts.length;
    if (2 * index >= this.#slots.length) this.#grow();
    const view = this.#viewOf(bytes);
    if (!this.#take(hashOf(view, start, end), index)) return;
    const place = this.#used;
    this.#used += Math.ceil(length / WORD_BYTES) * WORD_BYTES;
    if (this.#used > this.#bytes.byteLength) this.#bytes = grown(this.#bytes);
    for (let i = 0; i < length; i++) this.#bytes.setUint8(place + i, view.getUint8(start + i));
    this.#texts.push(text);
    this.#starts.push(place);
    this.#lengths.push(length);
  }

  #holds(view: DataView, start: number, end: number, place: number): boolean {
    const bytes = this.#bytes;
    let at = start;
    for (; at + WORD_BYTES <= end; at += WORD_BYTES, place += WORD_BYTES) if (view.getInt32(at) !== bytes.getInt32(place)) return false;
    for (; at < end; at++, place++) if (view.getUint8(at) !== bytes.getUint8(place)) return false;
    return true;
  }

  /** False when all slots that it might have are taken. */
  #take(hash: number, index: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let probes = 0; probes < MAX_PROBES; probes++) {
      const at = (hash + probes) & mask;
      if (slots[at] !== FREE) continue;
      slots[at] = index;
      return true;
    }
    return false;
  }

  /** A text that finds no slot any more is made anew from then on. */
  #grow(): void {
    this.#slots = new Int32Array(2 * this.#slots.length).fill(FREE);
    for (let index = 0; index < this.#texts.length; index++) {
      const start = this.#starts[index];
      this.#take(hashOf(this.#bytes, start, start + this.#lengths[index]), index);
    }
  }

  #clear(): void {
    this.#texts = [];
    this.#starts = [];
    this.#lengths = [];
    this.#used = 0;
    this.#slots.fill(FREE);
  }

  #viewOf(bytes: Uint8Array): DataView {
    if (bytes !== this.#source) {
      this.#source = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    return this.#view;
  }
}

function hashOf(view: DataView, start: number, end: number): number {
  let hash = end - start;
  let at = start;
  for (; at + WORD_BYTES <= end; at += WORD_BYTES) {
    hash = Math.imul(hash ^ view.getInt32(at), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ view.getUint8(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

function grown(bytes: DataView<ArrayBuffer>): DataView<ArrayBuffer> {
  const larger = new Uint8Array(2 * bytes.byteLength);
  larger.set(new Uint8Array(bytes.buffer));
  return new DataView(larger.buffer);
}
