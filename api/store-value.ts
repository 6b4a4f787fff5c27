/** Rows of any store as JSON: what the processors' rows say of themselves, else their fields. */
import { toLedgerView } from "../processors/formats/ledger-view.ts";
import { STORES } from "../processors/formats/records.ts";
import type { LedgerRow } from "./routes/ledger.ts";

/** NaN is null, as everywhere in JSON; bytes are base64; 64-bit integers are text. */
export function toJsonValue(store: string, value: unknown): unknown {
  if (store === STORES.ledger) return toLedgerView(value as LedgerRow);
  if (hasMethod(value, "record")) return value.record();
  if (hasMethod(value, "aggregates")) return { ...fields(value), metrics: value.aggregates() };
  return plain(value);
}

function plain(value: unknown): unknown {
  if (value instanceof Map) return [...(value as Map<unknown, unknown>)].map(plain);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  if (ArrayBuffer.isView(value)) return [...(value as Float64Array)];
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}

/** A window's own fields; its numbers are told by aggregates(). */
function fields(row: object): object {
  return Object.fromEntries(Object.entries(row).filter(([, field]) => typeof field === "boolean" || typeof field === "number"));
}

function hasMethod<N extends string>(value: unknown, name: N): value is object & Record<N, () => unknown> {
  return typeof value === "object" && value !== null && name in value && typeof (value as Record<string, unknown>)[name] === "function";
}
