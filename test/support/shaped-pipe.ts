/** One direction of a proxied connection: bytes go on as they came, only later, in pieces, or not for now. */
import type { Socket } from "node:net";

/** How bytes go on. Read anew for every piece, so that it may be changed while bytes are under way. */
export interface Shape {
  /** Each byte arrives this much later. */
  latencyMs: number;
  /** Bytes written at once. Infinity: as they come. */
  pieceBytes: number;
  /** Pause between two pieces. */
  pieceEveryMs: number;
  /** Nothing goes on, and nothing is closed: what a dead router looks like. */
  stalled: boolean;
}

export function straight(): Shape {
  return { latencyMs: 0, pieceBytes: Infinity, pieceEveryMs: 0, stalled: false };
}

/** Above this the sender is made to wait, as a network would (its own buffers fill up). */
const MAX_QUEUED_BYTES = 1024 * 1024;

export class ShapedPipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #shape: Shape;
  readonly #queue: { bytes: Buffer; readonly arrivedAt: number }[] = [];
  #queuedBytes = 0;
  #nextPieceAt = 0;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, shape: Shape) {
    this.#from = from;
    this.#to = to;
    this.#shape = shape;
  }

  push(bytes: Buffer): void {
    this.#queue.push({ bytes, arrivedAt: performance.now() });
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > MAX_QUEUED_BYTES) this.#from.pause();
    this.pump();
  }

  /** The sender is done: the receiver hears of it behind all the bytes. */
  end(): void {
    this.#ended = true;
    this.pump();
  }

  /** To be called when the shape has changed. */
  pump(): void {
    clearTimeout(this.#timer);
    const { latencyMs, pieceBytes, pieceEveryMs, stalled } = this.#shape;
    if (stalled || this.#to.destroyed) return;
    for (let head = this.#queue.at(0); head !== undefined; head = this.#queue.at(0)) {
      const now = performance.now();
      const waitMs = Math.max(head.arrivedAt + latencyMs, this.#nextPieceAt) - now;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs));
        return;
      }
      const piece = head.bytes.subarray(0, pieceBytes);
      if (piece.length === head.bytes.length) this.#queue.shift();
      else head.bytes = head.bytes.subarray(piece.length);
      this.#queuedBytes -= piece.length;
      this.#nextPieceAt = pieceEveryMs > 0 ? now + pieceEveryMs : 0;
      this.#to.write(piece);
    }
    if (this.#from.isPaused()) this.#from.resume();
    if (this.#ended) this.#to.end();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
  }
}
