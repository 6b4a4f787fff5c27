/**
 * A flat JSON object straight from its bytes: no string is made of the text, no object of the fields. Whatever is not quite plain
 * (nested values, escapes, characters beyond ASCII, names that come twice) is left to JSON.parse, of which this is a part:
 * what it takes, it takes exactly as JSON.parse would.
 */
import { NO_FIELD, type FieldName } from "./field-name.ts";
import { KIND, type Payload } from "./payload.ts";

const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const UPPER_E = 0x45;
const BACKSLASH = 0x5c;
const LOWER_E = 0x65;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** Integers of so many digits, and powers of ten up to 10^22, are exact, and so their quotient is the nearest number. */
const MAX_EXACT_DIGITS = 15;
const POWERS_OF_TEN = Float64Array.from({ length: MAX_EXACT_DIGITS + 1 }, (_, exponent) => 10 ** exponent);

export class JsonFields {
  #bytes: Buffer = Buffer.alloc(0);
  /** The next byte to look at; past the end of the text once something was not as it should be. */
  #at = 0;
  #end = 0;

  /** False: ask JSON.parse; what is in `payload` then says nothing. */
  read(bytes: Buffer, start: number, end: number, payload: Payload): boolean {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    payload.reset(bytes);
    if (this.#token() !== OPEN) return false;
    this.#at++;
    for (let field: FieldName = NO_FIELD; ;) {
      if (this.#token() !== QUOTE) return false;
      const next = this.#name(field);
      if (next === undefined || next.isIrregular) return false;
      field = next;
      if (this.#token() !== COLON) return false;
      this.#at++;
      if (!this.#value(field, payload) || payload.isCutOff) return false;
      const separator = this.#token();
      this.#at++;
      if (separator === COMMA) continue;
      return separator === CLOSE && this.#isOver();
    }
  }

  /** The next byte that is no space; it is not passed. Undefined at the end. */
  #token(): number | undefined {
    const bytes = this.#bytes;
    let at = this.#at;
    while (bytes[at] <= SPACE && isSpace(bytes[at])) at++;
    this.#at = at;
    return at < this.#end ? bytes[at] : undefined;
  }

  #isOver(): boolean {
    return this.#at <= this.#end && this.#token() === undefined;
  }

  /** From its quote on. */
  #name(before: FieldName): FieldName | undefined {
    const bytes = this.#bytes;
    const start = this.#at;
    const { last } = before;
    if (last !== undefined) {
      const { quoted } = last;
      const { length } = quoted;
      let i = 0;
      while (i < length && bytes[start + i] === quoted[i]) i++;
      if (i === length && length > 0 && start + length <= this.#end) {
        this.#at = start + length;
        return last;
      }
    }
    const end = this.#textEnd(start + 1);
    if (end < 0) return undefined;
    this.#at = end + 1;
    return before.next(bytes.toString("latin1", start + 1, end));
  }

  /** Where the text's closing quote is; -1 when it is not plain ASCII, or does not end. */
  #textEnd(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    for (let byte = bytes[at]; byte !== QUOTE; byte = bytes[++at]) {
      if (!(byte >= SPACE && byte < 0x80) || byte === BACKSLASH) return -1;
    }
    return at < this.#end ? at : -1;
  }

  #value(field: FieldName, payload: Payload): boolean {
    const first = this.#token();
    if (first === undefined) return false;
    if (first === QUOTE) {
      const start = this.#at + 1;
      const end = this.#textEnd(start);
      if (end < 0) return false;
      this.#at = end + 1;
      payload.addTextBytes(field, start, end);
      return true;
    }
    if (first === MINUS || (first >= ZERO && first <= NINE)) return this.#number(field, payload);
    if (this.#isWord(WORDS.true)) payload.add(field, KIND.true);
    else if (this.#isWord(WORDS.false)) payload.add(field, KIND.false);
    else if (this.#isWord(WORDS.null)) payload.add(field, KIND.null);
    else return false;
    return true;
  }

  #isWord(word: Uint8Array): boolean {
    const bytes = this.#bytes;
    const start = this.#at;
    for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false;
    this.#at = start + word.length;
    return this.#at <= this.#end;
  }

  #number(field: FieldName, payload: Payload): boolean {
    const bytes = this.#bytes;
    const start = this.#at;
    const isNegative = bytes[start] === MINUS;
    const wholeStart = isNegative ? start + 1 : start;
    let at = wholeStart;
    let digits = 0;
    for (let byte = bytes[at]; byte >= ZERO && byte <= NINE; byte = bytes[++at]) digits = digits * 10 + (byte - ZERO);
    const wholeDigits = at - wholeStart;
    if (wholeDigits === 0 || (wholeDigits > 1 && bytes[wholeStart] === ZERO)) return false;
    let fractionDigits = 0;
    if (bytes[at] === POINT) {
      const fractionStart = ++at;
      for (let byte = bytes[at]; byte >= ZERO && byte <= NINE; byte = bytes[++at]) digits = digits * 10 + (byte - ZERO);
      fractionDigits = at - fractionStart;
      if (fractionDigits === 0) return false;
    }
    const isExponential = bytes[at] === LOWER_E || bytes[at] === UPPER_E;
    if (isExponential) {
      at++;
      if (bytes[at] === PLUS || bytes[at] === MINUS) at++;
      const exponentStart = at;
      while (bytes[at] >= ZERO && bytes[at] <= NINE) at++;
      if (at === exponentStart) return false;
    }
    if (at > this.#end) return false;
    this.#at = at;
    let value: number;
    if (isExponential || wholeDigits + fractionDigits > MAX_EXACT_DIGITS) value = Number(bytes.toString("latin1", start, at));
    else {
      const magnitude = fractionDigits === 0 ? digits : digits / POWERS_OF_TEN[fractionDigits];
      value = isNegative ? -magnitude : magnitude;
    }
    payload.addNumber(field, value);
    return true;
  }
}

const WORDS = { true: Buffer.from("true"), false: Buffer.from("false"), null: Buffer.from("null") } as const;

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
