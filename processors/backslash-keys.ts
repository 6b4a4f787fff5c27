/**
 * Node 24.21's JSON.parse (V8 13.6) may read a key that has escapes as another key: after `{"x\\":1}` the text
 * `{"x\n":1}` is read as `{"x\\":1}`, for every caller in the process. It takes an earlier key with a backslash in it
 * (found by test and fuzzing, 23 November 2026; Node 20 is right). So no such key ever reaches JSON.parse from a
 * device: one device must not change how another's fields are read.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/** Whether a key of the JSON text holds a backslash once its escapes are read. The text need not be valid. */
export function hasBackslashKey(text: string): boolean {
  let at = text.indexOf('"');
  while (at >= 0) {
    let end = at + 1;
    let found = false;
    for (; end < text.length && text.charCodeAt(end) !== QUOTE; end++) {
      if (text.charCodeAt(end) !== BACKSLASH) continue;
      end++;
      if (text.charCodeAt(end) === BACKSLASH || text.slice(end, end + 5).toLowerCase() === "u005c") found = true;
    }
    if (found && nextToken(text, end + 1) === COLON) return true;
    at = text.indexOf('"', end + 1);
  }
  return false;
}

function nextToken(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
  return text.charCodeAt(at);
}
