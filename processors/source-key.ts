/** The raw topic's key. Unlike serdes.string it blames the record for bytes that are no UTF-8, not the state. */
import { isUtf8 } from "node:buffer";
import type { Serde } from "../state/serde.ts";
import { TextTable } from "../state/text-table.ts";
import { BadKeyError } from "./errors.ts";

/** Of one process: as many devices as it knows (device.ts). */
const MAX_KEYS = 50_000;
const keys = new TextTable(MAX_KEYS);

export const sourceKey: Serde<string> = {
  name: "device-key",
  write: (value, out) => out.utf8(value),
  read: (bytes, start, end) => {
    const known = keys.find(bytes, start, end);
    if (known !== undefined) return known;
    const text = bytes.toString("utf8", start, end);
    if (text.includes("\ufffd") && !isUtf8(bytes.subarray(start, end))) throw new BadKeyError("the record key is not UTF-8");
    keys.add(bytes, start, end, text);
    return text;
  },
};
