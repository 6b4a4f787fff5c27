import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareBytes, mergePages, type Page } from "../../../api/page.ts";

const keyOf = (item: { k: string }): string => item.k;
const older = (a: { k: string }): { k: string } => a;

test("merged pages walk every row of every worker once, in byte order, whatever the limits", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 3 }), { maxLength: 12 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 5 }),
      (workers, limit) => {
        const rows = workers.map((keys) => [...new Set(keys)].sort(compareBytes));
        const seen: string[] = [];
        let after: string | null = null;
        do {
          const pages: Page<{ k: string }>[] = rows.map((keys) => pageOf(keys, after, limit));
          const merged: Page<{ k: string }> = mergePages(pages, limit, keyOf, older);
          assert.ok(merged.items.length <= limit);
          seen.push(...merged.items.map(keyOf));
          after = merged.next;
        } while (after !== null);
        assert.deepEqual(seen, [...new Set(rows.flat())].sort(compareBytes));
      },
    ),
    { numRuns: 200 },
  );
});

function pageOf(keys: readonly string[], after: string | null, limit: number): Page<{ k: string }> {
  const rest = keys.filter((key) => after === null || compareBytes(key, after) > 0);
  const items = rest.slice(0, limit).map((k) => ({ k }));
  return { items, next: items.length === limit ? items[limit - 1].k : null };
}

test("a row on two workers is kept once, the newer one", () => {
  const page = (ts: number): Page<{ k: string; ts: number }> => ({ items: [{ k: "a", ts }], next: null });
  const merged = mergePages([page(1), page(2)], 10, keyOf as (item: { k: string; ts: number }) => string, (a, b) => (a.ts > b.ts ? a : b));
  assert.deepEqual(merged.items, [{ k: "a", ts: 2 }]);
});
