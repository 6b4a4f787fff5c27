/**
 * Messages that wait for their token, earliest first; of equal times the one that came first. A heap and one timer.
 * Bounded by whoever adds: half of the ingress's window (see canHold()).
 */
import { DueHeap, isBefore, type Due } from "../due-heap.ts";
import type { InFlight } from "../in-flight.ts";

interface Held extends Due {
  readonly message: InFlight;
}

export class HeldMessages {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #release: (message: InFlight) => void;
  readonly #heap = new DueHeap<Held>();
  #bytes = 0;
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
    return this.#heap.size;
  }

  canHold(bytes: number): boolean {
    return this.#heap.size < this.#maxMessages && this.#bytes + bytes <= this.#maxBytes;
  }

  add(message: InFlight, atMs: number): void {
    message.held = true;
    this.#bytes += message.bytes;
    this.#heap.schedule({ message, dueTs: atMs, dueOrder: 0, heapIndex: -1 }, atMs);
    this.#schedule();
  }

  /** Before anything newer is let in, so that a late timer never turns the order of a device's messages. */
  releaseDue(): void {
    const nowMs = this.#now();
    for (let held = this.#heap.peek(); held !== undefined && held.dueTs <= nowMs; held = this.#heap.peek()) {
      this.#take(held);
      this.#release(held.message);
    }
    this.#schedule();
  }

  /** Takes out all that `isWanted` names, in order. */
  takeWhere(isWanted: (message: InFlight) => boolean): InFlight[] {
    const taken = this.#heap.items.filter(({ message }) => isWanted(message)).sort((a, b) => (isBefore(a, b) ? -1 : 1));
    for (const held of taken) this.#take(held);
    this.#schedule();
    return taken.map(({ message }) => message);
  }

  #take(held: Held): void {
    this.#heap.remove(held);
    held.message.held = false;
    this.#bytes -= held.message.bytes;
  }

  #schedule(): void {
    const atMs = this.#heap.peek()?.dueTs ?? Infinity;
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
