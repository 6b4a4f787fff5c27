/** JSON documents of a device shadow: merging, comparing, and what is different. Pure; nothing that is given is changed. */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

/** Times of a document's values, in its shape: epoch ms where the document has something else than an object. */
export interface Times {
  readonly [name: string]: number | Times;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * RFC 7396: an object of the patch is merged into the one of that name, null takes a name away, everything else (arrays too)
 * replaces what was there. Unlike the RFC's, the patch is always an object, as a document is.
 */
export function mergePatch(target: JsonObject, patch: JsonObject): JsonObject {
  const merged: Record<string, Json> = { ...target };
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) delete merged[name];
    else if (isJsonObject(change)) merged[name] = mergePatch(objectAt(target, name), change);
    else merged[name] = change;
  }
  return merged;
}

/** What a device must change to be as desired: `desired` without what `reported` says already. Undefined when that is nothing. */
export function deltaOf(desired: JsonObject, reported: JsonObject): JsonObject | undefined {
  const delta: Record<string, Json> = {};
  for (const [name, wanted] of Object.entries(desired)) {
    const is = Object.hasOwn(reported, name) ? reported[name] : undefined;
    if (is === undefined) delta[name] = wanted;
    else if (isJsonObject(wanted) && isJsonObject(is)) {
      const inner = deltaOf(wanted, is);
      if (inner !== undefined) delta[name] = inner;
    } else if (!sameJson(wanted, is)) delta[name] = wanted;
  }
  return Object.keys(delta).length === 0 ? undefined : delta;
}

/** The order of an object's names does not count. */
export function sameJson(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item: Json, at) => sameJson(item, b[at] as Json));
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && sameJson(a[name], b[name]));
}

/** Times of `after`: of what is as it was `before`, the time it had; of everything else, `now`. */
export function timesOf(after: JsonObject, before: JsonObject, times: Times, now: number): Times {
  const result: Record<string, number | Times> = {};
  for (const [name, value] of Object.entries(after)) {
    const known = Object.hasOwn(times, name) ? times[name] : undefined;
    if (isJsonObject(value)) result[name] = timesOf(value, objectAt(before, name), typeof known === "object" ? known : {}, now);
    else result[name] = typeof known === "number" && Object.hasOwn(before, name) && sameJson(before[name], value) ? known : now;
  }
  return result;
}

function objectAt(object: JsonObject, name: string): JsonObject {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  return isJsonObject(value) ? value : {};
}
