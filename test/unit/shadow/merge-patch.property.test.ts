import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  deltaOf,
  isJsonObject,
  mergePatch,
  sameJson,
  timesOf,
  type Json,
  type JsonObject,
} from "../../../processors/formats/merge-patch.ts";

/** Few names and values, so that documents meet. */
const names = fc.constantFrom("a", "b", "c", "constructor", "1");
const { document, patch } = fc.letrec<{ document: JsonObject; patch: JsonObject; value: Json; change: Json }>((tie) => {
  const leaf = fc.oneof(
    fc.integer({ min: 0, max: 2 }),
    fc.boolean(),
    fc.constantFrom("x", "y"),
    fc.constantFrom([], [1, null], [{ a: 1 }]),
  );
  return {
    value: fc.oneof({ depthSize: "small" }, leaf, tie("document")),
    change: fc.oneof({ depthSize: "small" }, leaf, fc.constant(null), tie("patch")),
    document: fc.dictionary(names, tie("value"), { maxKeys: 4, noNullPrototype: true }),
    patch: fc.dictionary(names, tie("change"), { maxKeys: 4, noNullPrototype: true }),
  };
});

/** The RFC's own pseudo code (section 2), which changes its target. */
function rfc7396(target: unknown, change: unknown): unknown {
  if (!isJsonObject(change)) return change;
  const result: Record<string, unknown> = isJsonObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(change)) {
    if (value === null) delete result[name];
    else result[name] = rfc7396(Object.hasOwn(result, name) ? result[name] : undefined, value);
  }
  return result;
}

test("merging is RFC 7396's, and changes nothing that it is given", () => {
  fc.assert(
    fc.property(document, patch, (target, change) => {
      const before = structuredClone([target, change]);
      assert.deepEqual(mergePatch(target, change), rfc7396(target, change));
      assert.deepEqual([target, change], before);
    }),
  );
});

test("the RFC's examples of objects come out as it says (appendix A)", () => {
  const examples: [JsonObject, JsonObject, JsonObject][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, change, result] of examples) assert.deepEqual(mergePatch(target, change), result);
});

test("a patch that is merged twice is merged once", () => {
  fc.assert(
    fc.property(document, patch, (target, change) => {
      const once = mergePatch(target, change);
      assert.deepEqual(mergePatch(once, change), once);
    }),
  );
});

test("a device that reports its delta is as desired: there is no delta any more", () => {
  fc.assert(
    fc.property(document, document, (desired, reported) => {
      const delta = deltaOf(desired, reported);
      if (delta === undefined) return;
      assert.equal(deltaOf(desired, mergePatch(reported, delta)), undefined);
    }),
  );
});

test("there is no delta exactly when nothing desired is missing from, or other than, what is reported", () => {
  const isIn = (desired: JsonObject, reported: JsonObject): boolean =>
    Object.entries(desired).every(([name, wanted]) => {
      const is = Object.hasOwn(reported, name) ? reported[name] : undefined;
      if (is === undefined) return false;
      return isJsonObject(wanted) && isJsonObject(is) ? isIn(wanted, is) : sameJson(wanted, is);
    });
  fc.assert(
    fc.property(document, document, (desired, reported) => {
      assert.equal(deltaOf(desired, reported) === undefined, isIn(desired, reported));
      assert.equal(deltaOf(desired, mergePatch(desired, reported)) === undefined, isIn(desired, mergePatch(desired, reported)));
    }),
  );
  assert.deepEqual(deltaOf({ a: 1, b: { c: [1, 2], d: 3 }, e: {} }, { a: 1, b: { c: [1], d: 3 }, f: 9 }), { b: { c: [1, 2] }, e: {} });
});

test("two documents are the same exactly when their JSON says the same, whatever the order of names", () => {
  const sorted = (value: Json): Json =>
    isJsonObject(value)
      ? Object.fromEntries(
          Object.keys(value)
            .sort()
            .map((name) => [name, sorted(value[name])]),
        )
      : Array.isArray(value)
        ? value.map(sorted)
        : value;
  fc.assert(
    fc.property(document, document, (a, b) => {
      assert.equal(sameJson(a, b), JSON.stringify(sorted(a)) === JSON.stringify(sorted(b)));
      assert.ok(sameJson(a, Object.fromEntries(Object.entries(a).reverse())));
    }),
  );
});

test("times have the document's shape; what did not change keeps its time", () => {
  fc.assert(
    fc.property(document, fc.array(patch, { maxLength: 5 }), (start, changes) => {
      let state = start;
      let times = timesOf(state, {}, {}, 1);
      for (const [step, change] of changes.entries()) {
        const after = mergePatch(state, change);
        times = timesOf(after, state, times, step + 2);
        if (sameJson(after, state)) assert.deepEqual(times, timesOf(after, state, times, 99));
        state = after;
      }
      const check = (value: JsonObject, at: object): void => {
        assert.deepEqual(Object.keys(at), Object.keys(value));
        for (const [name, inner] of Object.entries(value)) {
          const time = (at as Record<string, unknown>)[name];
          if (isJsonObject(inner)) check(inner, time as object);
          else assert.equal(typeof time, "number");
        }
      };
      check(state, times);
    }),
  );
  const times = timesOf({ a: 1, b: { c: 2 } }, {}, {}, 10);
  assert.deepEqual(timesOf({ a: 1, b: { c: 3, d: 4 } }, { a: 1, b: { c: 2 } }, times, 20), { a: 10, b: { c: 20, d: 20 } });
});
