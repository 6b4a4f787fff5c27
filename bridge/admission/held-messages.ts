/**
 * Messages that wait for their token, earliest first; of equal times the one that came first. A binary heap and one timer.
 * Bounded by whoever adds: half of the ingress's window (see canHold()).
 */
import type { InFlight } from "../in-flight.ts";

interface Held {
  readonly message: InFlight;
  readonly atMs: number;
  readonly order: number;
}

export class HeldMessages {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #release: (message: InFlight) => void;
  #heap: Held[] = [];
  #bytes = 0;
  #added = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Infinity;

  /** @param release called for each message whose time has come; from a timer, or from releaseDue() */
  constructor(bounds: { maxMessages: number; maxBytes: number }, now: () => number, release: (message: InFlight) => void) {
    this.#maxMessages = bounds.maxMessages;
    this.#maxBytes = bounds.maxBytes;
    this.#now = now;
    this.#release = release;
  }

  get size(): number {
    return this.#heap.length;
  }

  canHold(bytes: number): boolean {
    return this.#heap.length < this.#maxMessages && this.#bytes + bytes <= this.#maxBytes;
  }

  add(message: InFlight, atMs: number): void {
    message.held = true;
    this.#bytes += message.bytes;
    this.#heap.push({ message, atMs, order: this.#added++ });
    siftUp(this.#heap);
    this.#schedule();
  }

  /** Before anything newer is let in, so that a late timer never turns the order of a device's messages. */
  releaseDue(): void {
    const nowMs = this.#now();
    while (this.#heap.length > 0 && this.#heap[0].atMs <= nowMs) this.#release(this.#take());
    this.#schedule();
  }

  /** Takes out all that `isWanted` names, in order. */
  takeWhere(isWanted: (message: InFlight) => boolean): InFlight[] {
    const all = this.#heap.sort(compare);
    this.#heap = all.filter(({ message }) => !isWanted(message));
    const taken = all.filter(({ message }) => isWanted(message)).map(({ message }) => message);
    for (const message of taken) this.#forget(message);
    this.#schedule();
    return taken;
  }

  #take(): InFlight {
    const { message } = this.#heap[0];
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) siftDown(this.#heap, last);
    this.#forget(message);
    return message;
  }

  #forget(message: InFlight): void {
    message.held = false;
    this.#bytes -= message.bytes;
  }

  #schedule(): void {
    const atMs = this.#heap.length === 0 ? Infinity : this.#heap[0].atMs;
    if (atMs === this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    if (atMs === Infinity) return;
    const fire = (): void => {
      this.#timerAtMs = Infinity;
      this.releaseDue();
    };
    this.#timer = setTimeout(fire, Math.max(1, Math.ceil(atMs - this.#now())));
  }
}

function compare(a: Held, b: Held): number {
  return a.atMs - b.atMs || a.order - b.order;
}

/** The last element to its place. */
function siftUp(heap: Held[]): void {
  let at = heap.length - 1;
  const held = heap[at];
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (compare(heap[parent], held) <= 0) break;
    heap[at] = heap[parent];
    at = parent;
  }
  heap[at] = held;
}

/** `held` in the place of the first. */
function siftDown(heap: Held[], held: Held): void {
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && compare(heap[child + 1], heap[child]) < 0) child++;
    if (compare(held, heap[child]) <= 0) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = held;
}
