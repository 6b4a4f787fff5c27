/** The raw topic's key. Unlike serdes.string it blames the record for bytes that are no UTF-8, not the state. */
import { isUtf8 } from "node:buffer";
import type { Serde } from "../state/serde.ts";
import { BadKeyError } from "./errors.ts";

export const sourceKey: Serde<string> = {
  name: "device-key",
  write: (value, out) => out.utf8(value),
  read: (bytes, start, end) => {
    const text = bytes.toString("utf8", start, end);
    if (text.includes("\ufffd") && !isUtf8(bytes.subarray(start, end))) throw new BadKeyError("the record key is not UTF-8");
    return text;
  },
};
