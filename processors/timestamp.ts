/** The payload's `ts` in its accepted forms: epoch ms, epoch seconds, ISO-8601. */

/** Numbers below this magnitude are seconds: as ms it would be before 3 March 1973, as seconds it is past the year 5138. */
const SECONDS_BELOW = 1e11;

/** About 71,000 years either way: window starts before 1970 are stored with this as an offset, and numbers end at 2^53. ms. */
export const MAX_TIME_MS = 2 ** 51;

/** Epoch ms (floored; seconds with a fraction rounded to ms); NaN for what is no time. */
export function parseTimestamp(value: unknown): number {
  if (typeof value === "number") {
    const ms = value > -SECONDS_BELOW && value < SECONDS_BELOW ? Math.round(value * 1000) : Math.floor(value);
    return ms > -MAX_TIME_MS && ms < MAX_TIME_MS ? ms + 0 : NaN;
  }
  return typeof value === "string" ? parseIso(value) : NaN;
}

/**
 * `YYYY-MM-DD`, optionally with `T` or a space and `HH:MM[:SS[.fraction]]`, optionally with `Z` or `±HH[[:]MM]`.
 * Without a zone it is UTC: Date.parse would use the worker's own zone, and two workers could disagree.
 */
function parseIso(text: string): number {
  const { length } = text;
  if (length < 10 || length > 40) return NaN;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 2);
  const day = digits(text, 8, 2);
  if (text[4] !== "-" || text[7] !== "-" || !(month >= 1 && month <= 12) || !(day >= 1)) return NaN;
  const midnight = Date.UTC(year, month - 1, day);
  // Date.UTC takes 30 February for 2 March, and years below 100 for 19xx.
  if (!(year >= 100) || new Date(midnight).getUTCDate() !== day) return NaN;
  if (length === 10) return midnight;
  if ((text[10] !== "T" && text[10] !== "t" && text[10] !== " ") || text[13] !== ":") return NaN;
  const hours = digits(text, 11, 2);
  const minutes = digits(text, 14, 2);
  let at = 16;
  let seconds = 0;
  let fraction = 0;
  if (text[at] === ":") {
    seconds = digits(text, at + 1, 2);
    at += 3;
    if (text[at] === "." || text[at] === ",") {
      let weight = 100;
      for (at++; isDigit(text, at); at++) {
        fraction += (text.charCodeAt(at) - 48) * weight;
        weight /= 10;
      }
      if (weight === 100) return NaN;
    }
  }
  if (!(hours <= 23 && minutes <= 59 && seconds <= 59)) return NaN;
  const zone = zoneMinutes(text, at);
  return midnight + ((hours * 60 + minutes - zone) * 60 + seconds) * 1000 + Math.floor(fraction + 1e-6);
}

function zoneMinutes(text: string, at: number): number {
  const { length } = text;
  if (at === length) return 0;
  const sign = text[at];
  if (sign === "Z" || sign === "z") return at + 1 === length ? 0 : NaN;
  if (sign !== "+" && sign !== "-") return NaN;
  const hours = digits(text, at + 1, 2);
  let minutes = 0;
  if (length !== at + 3) {
    const from = text[at + 3] === ":" ? at + 4 : at + 3;
    if (length !== from + 2) return NaN;
    minutes = digits(text, from, 2);
  }
  if (!(hours <= 23 && minutes <= 59)) return NaN;
  return sign === "+" ? hours * 60 + minutes : -(hours * 60 + minutes);
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

function digits(text: string, at: number, count: number): number {
  let value = 0;
  for (let i = at; i < at + count; i++) {
    if (!isDigit(text, i)) return NaN;
    value = value * 10 + text.charCodeAt(i) - 48;
  }
  return value;
}
