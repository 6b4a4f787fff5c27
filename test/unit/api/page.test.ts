import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareBytes, mergePages, type Page } from "../../../api/page.ts";

const keyOf = (item: { k: string }): string => item.k;
const older = (a: { k: string }): { k: string } => a;

test("merged pages walk every matching row of every worker once, in byte order, whatever the limits and bounds", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 3 }), { maxLength: 12 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      (workers, limit, maxScanned) => {
        const rows = workers.map((keys) => [...new Set(keys)].sort(compareBytes));
        const seen: string[] = [];
        let after: string | null = null;
        do {
          const pages: Page<{ k: string }>[] = rows.map((keys) => pageOf(keys, after, limit, maxScanned));
          const merged: Page<{ k: string }> = mergePages(pages, limit, keyOf, older);
          assert.ok(merged.items.length <= limit);
          seen.push(...merged.items.map(keyOf));
          after = merged.next;
        } while (after !== null);
        assert.deepEqual(seen, [...new Set(rows.flat())].filter(matches).sort(compareBytes));
      },
    ),
    { numRuns: 200 },
  );
});

/** A filter, so that a bounded scan gives short pages. */
function matches(key: string): boolean {
  return (key.codePointAt(0) ?? 0) % 3 !== 0;
}

function pageOf(keys: readonly string[], after: string | null, limit: number, maxScanned: number): Page<{ k: string }> {
  const items: { k: string }[] = [];
  const rest = keys.filter((key) => after === null || compareBytes(key, after) > 0);
  for (const [index, k] of rest.entries()) {
    if (index === maxScanned) return { items, next: rest[index - 1] };
    if (matches(k)) items.push({ k });
    if (items.length === limit) return { items, next: k };
  }
  return { items, next: null };
}

test("a row on two workers is kept once, the newer one", () => {
  const page = (ts: number): Page<{ k: string; ts: number }> => ({ items: [{ k: "a", ts }], next: null });
  const merged = mergePages([page(1), page(2)], 10, keyOf as (item: { k: string; ts: number }) => string, (a, b) => (a.ts > b.ts ? a : b));
  assert.deepEqual(merged.items, [{ k: "a", ts: 2 }]);
});
