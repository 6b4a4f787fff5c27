/** Some encoders write NaN and Infinity bare; that is no JSON, and its senders deserve to be told so. */

/** Whether the text has NaN or Infinity outside of strings. Called only after JSON.parse refused the text. */
export function hasNonFiniteToken(text: string): boolean {
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === 0x5c) i++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x4e && text.startsWith("NaN", i)) return true;
    else if (code === 0x49 && text.startsWith("Infinity", i)) return true;
  }
  return false;
}
