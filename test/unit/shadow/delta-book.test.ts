import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DELTA_BOUNDS, DeltaBook, type DeltaBounds } from "../../../bridge/shadow/delta-book.ts";
import type { PendingDelta } from "../../../bridge/shadow/pending-delta.ts";
import type { ShadowDocument } from "../../../processors/formats/shadow.ts";

const NOW = 1_000_000;
const KEY = "demo|d1";

function document(version: number, delta: boolean, deviceId = "d1"): ShadowDocument {
  const desired = { a: version };
  return {
    v: 1,
    tenant: "demo",
    deviceId,
    version,
    desired,
    reported: {},
    ...(delta ? { delta: desired } : {}),
    metadata: { desired: {}, reported: {} },
    ts: 1,
  };
}

/** A book whose pauses are the longest. */
class Fixture {
  readonly offline = new Set<string>();
  readonly publications: PendingDelta[] = [];
  readonly book: DeltaBook;

  constructor(bounds: Partial<DeltaBounds> = {}) {
    this.book = new DeltaBook({
      bounds: { ...DELTA_BOUNDS, ...bounds },
      publish: (delta) => void this.publications.push(delta),
      isOffline: (key) => this.offline.has(key),
      random: () => 1,
    });
  }

  take(version: number, delta = true, asked = false): void {
    this.book.take(KEY, document(version, delta), asked, 100);
  }

  /** Versions sent by now, e.g. `v3` or `v3 asked`. */
  sent(now = NOW): string[] {
    this.book.advance(now, 100);
    return this.publications.map(({ document: { version }, asked }) => `v${version}${asked ? " asked" : ""}`);
  }

  outcome(kind: "confirmed" | "no-subscriber" | "unknown" | "not-written", now = NOW): void {
    for (const delta of this.publications.splice(0)) this.book.published(delta, delta.attempts, { kind }, now);
  }
}

test("only the newest delta of a device is sent, and none when it is as desired", () => {
  const f = new Fixture();
  f.take(1);
  f.take(2);
  f.take(3);
  assert.deepEqual(f.sent(), ["v3"]);
  f.outcome("confirmed");
  f.take(4, false);
  assert.deepEqual(f.sent(NOW + 10 * DELTA_BOUNDS.ackRetryMaxMs), []);
  assert.deepEqual([f.book.pendingCount, f.book.nextDueTs], [0, Number.POSITIVE_INFINITY]);
});

test("what becomes of a delta that was superseded is no news", () => {
  const f = new Fixture();
  f.take(1);
  f.sent();
  const [old] = f.publications.splice(0);
  f.take(2);
  f.book.published(old, 1, { kind: "unknown" }, NOW);
  assert.deepEqual(f.sent(), ["v2"]);
  f.outcome("confirmed");
  assert.deepEqual(f.sent(NOW + DELTA_BOUNDS.retryMaxMs / 60 - 1), []);
});

test("the same version again is not sent again", () => {
  const f = new Fixture();
  f.take(1);
  assert.deepEqual(f.sent(), ["v1"]);
  f.outcome("confirmed");
  f.take(1);
  assert.deepEqual(f.sent(), []);
});

test("a device that does not report is told again, soon when nobody was there, later when the broker had it, and not for ever", () => {
  const f = new Fixture({ retryMinMs: 100, ackRetryMinMs: 1_000, maxAttempts: 3 });
  f.take(1);
  f.sent();
  f.outcome("no-subscriber");
  assert.deepEqual(f.sent(NOW + 99), []);
  assert.deepEqual(f.sent(NOW + 100), ["v1"]);
  f.outcome("confirmed", NOW + 100);
  assert.deepEqual(f.sent(NOW + 2_099), []);
  assert.deepEqual(f.sent(NOW + 2_100), ["v1"]);
  f.outcome("confirmed", NOW + 2_100);
  assert.deepEqual(f.sent(NOW + 1e9), []);
  f.book.deviceOnline(KEY);
  assert.deepEqual(f.sent(NOW + 1e9), ["v1"]);
});

test("a device that presence says is offline is told when it is back, what is newest then", () => {
  const f = new Fixture();
  f.offline.add(KEY);
  f.take(1);
  f.take(2);
  assert.deepEqual([f.sent(NOW + 1e9), f.book.readyCount], [[], 0]);
  f.take(3);
  f.offline.clear();
  f.book.deviceOnline(KEY);
  assert.deepEqual(f.sent(), ["v3"]);
});

test("a device that asks is answered, offline or not, as desired or not, and once when there is nothing to do", () => {
  const f = new Fixture();
  f.offline.add(KEY);
  f.take(5, false, true);
  assert.deepEqual(f.sent(), ["v5 asked"]);
  f.outcome("unknown");
  assert.deepEqual(f.sent(NOW + DELTA_BOUNDS.retryMaxMs), ["v5 asked"]);
  f.outcome("confirmed");
  assert.equal(f.book.pendingCount, 0);
});

test("a connection that was gone before the first byte costs no attempt", () => {
  const f = new Fixture({ maxAttempts: 1 });
  f.take(1);
  f.sent();
  f.outcome("not-written");
  assert.deepEqual(f.sent(), ["v1"]);
});

test("past its bounds it keeps nothing more, and says so", () => {
  const f = new Fixture({ maxPending: 2, maxPendingBytes: 250 });
  for (const deviceId of ["a", "b", "c"]) f.book.take(`demo|${deviceId}`, document(1, true, deviceId), false, 100);
  assert.deepEqual([f.book.pendingCount, f.book.overflow], [2, 1]);
  f.book.take("demo|a", document(2, true, "a"), false, 160);
  assert.deepEqual([f.book.pendingCount, f.book.overflow], [1, 2]);
  f.book.take("demo|b", undefined, false, 0);
  assert.equal(f.book.pendingCount, 0);
});

test("whatever happens in whatever order: versions only rise, nobody offline is told, and in the end everybody is as desired", () => {
  const step = fc.oneof(
    fc.constant("change" as const),
    fc.constant("report" as const),
    fc.constant("ask" as const),
    fc.constantFrom("confirmed" as const, "no-subscriber" as const, "unknown" as const, "not-written" as const),
    fc.constantFrom("online" as const, "offline" as const),
    fc.constant("wait" as const),
    fc.constant("crash" as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let f = new Fixture();
      let [now, version, delta, sent] = [NOW, 0, false, 0];
      const advance = (): void => {
        const before = f.publications.length;
        f.book.advance(now, 10);
        for (const publication of f.publications.slice(before)) {
          assert.equal(publication.document.version, version, "it is the newest");
          assert.ok(publication.document.version >= sent, "none after a newer one");
          assert.ok(publication.asked || !f.offline.has(KEY));
          sent = publication.document.version;
        }
      };
      for (const what of steps) {
        if (what === "change") f.take(++version, (delta = true));
        else if (what === "report" && delta) f.take(++version, (delta = false));
        else if (what === "ask") f.take(version, delta, true);
        else if (what === "wait") now += 100_000;
        else if (what === "offline") f.offline.add(KEY);
        else if (what === "online") {
          f.offline.clear();
          f.book.deviceOnline(KEY);
        } else if (what === "crash") {
          const { offline } = f;
          f = new Fixture();
          for (const key of offline) f.offline.add(key);
          f.take(version, delta);
        } else if (what !== "report") f.outcome(what, now);
        advance();
      }
      if (!delta) return;
      f.outcome("confirmed", now);
      f.offline.clear();
      f.book.deviceOnline(KEY);
      advance();
      assert.equal(sent, version);
    }),
  );
});
