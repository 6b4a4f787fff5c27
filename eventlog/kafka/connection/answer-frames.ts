/**
 * Cuts what a broker sends into answers: a length of four bytes, then so many. In place of kafkajs's own, which joins chunks and hands out
 * slices of what it joined: here an answer has a buffer to itself, which can go back to the system as soon as nobody reads it.
 */

/** Of an answer: above what any request here allows a broker to send, so more is no answer. Bytes. */
export const MAX_ANSWER_BYTES = 512 * 1024 * 1024;
const LENGTH_BYTES = 4;
/** Every answer begins with the id of its request. */
const MIN_ANSWER_BYTES = 4;

export class AnswerFrames {
  readonly #onAnswer: (answer: Buffer) => void;
  readonly #length = Buffer.alloc(LENGTH_BYTES);
  #lengthRead = 0;
  #answer: Buffer | undefined;
  #answerRead = 0;

  /** @param onAnswer gets each answer in turn, without its length, in a buffer that holds nothing else */
  constructor(onAnswer: (answer: Buffer) => void) {
    this.#onAnswer = onAnswer;
  }

  /** Copies what it takes. RangeError for a length that no answer has: what follows it cannot be read. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#answer === undefined) {
        const taken = chunk.copy(this.#length, this.#lengthRead, at);
        at += taken;
        this.#lengthRead += taken;
        if (this.#lengthRead < LENGTH_BYTES) return;
        this.#answer = this.#begin();
      }
      const taken = chunk.copy(this.#answer, this.#answerRead, at);
      at += taken;
      this.#answerRead += taken;
      if (this.#answerRead < this.#answer.length) return;
      const whole = this.#answer;
      this.#answer = undefined;
      this.#onAnswer(whole);
    }
  }

  #begin(): Buffer {
    const bytes = this.#length.readInt32BE(0);
    if (bytes < MIN_ANSWER_BYTES || bytes > MAX_ANSWER_BYTES) throw new RangeError(`an answer of ${bytes} bytes`);
    this.#lengthRead = 0;
    this.#answerRead = 0;
    return Buffer.allocUnsafeSlow(bytes);
  }
}
