import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandBounds } from "../../../bridge/commands/command-settings.ts";
import type { OpenCommand } from "../../../bridge/commands/open-command.ts";
import { BookFixture, command, NOW } from "./support.ts";

const HOUR = 3_600_000;

/** Takes one command and sends it. */
function sent(f: BookFixture, id: string, changes: Parameters<BookFixture["take"]>[1] = {}): OpenCommand {
  f.take(id, changes);
  f.book.advance(NOW, 10);
  const [open] = f.publications;
  f.said();
  f.published();
  return open;
}

test("an acknowledged command goes accepted, sent, delivered, acknowledged, and carries the device's answer", () => {
  const f = new BookFixture();
  f.take("c1");
  assert.deepEqual(f.said(), ["c1 accepted"]);
  f.book.advance(NOW, 10);
  assert.deepEqual(f.said(), ["c1 sent"]);
  const [open] = f.publications;
  assert.deepEqual(f.published(), ["c1#1"]);
  f.book.published(open, 1, { kind: "confirmed" }, NOW);
  assert.equal(f.book.acknowledged("demo", "device-1", { id: "c1", result: { on: true } }, NOW + 5), "taken");
  assert.deepEqual(
    f.statuses.map(({ state, result, ts }) => [state, result, ts]),
    [
      ["delivered", undefined, NOW],
      ["acknowledged", { on: true }, NOW + 5],
    ],
  );
  assert.equal(f.book.openCount, 0);
  assert.equal(f.book.openBytes, 0);
  assert.equal(f.book.nextDueTs, Number.POSITIVE_INFINITY);
});

test("an id that is known is no new command, open or done; another device may use it", () => {
  const f = new BookFixture();
  sent(f, "c1");
  assert.equal(f.take("c1"), false);
  f.book.acknowledged("demo", "device-1", { id: "c1" }, NOW);
  assert.equal(f.take("c1"), false);
  assert.equal(f.take("c1", { deviceId: "device-2" }), true);
  assert.deepEqual(f.said(), ["c1 acknowledged", "c1 accepted"]);
});

test("an acknowledgement counts for its own device and tenant only, and not before the command was sent", () => {
  const f = new BookFixture();
  f.take("c1");
  assert.equal(f.book.acknowledged("demo", "device-1", { id: "c1" }, NOW), "unknown");
  f.book.advance(NOW, 10);
  f.said();
  assert.equal(f.book.acknowledged("demo", "device-2", { id: "c1" }, NOW), "unknown");
  assert.equal(f.book.acknowledged("other", "device-1", { id: "c1" }, NOW), "unknown");
  assert.deepEqual(f.said(), []);
  assert.equal(f.book.acknowledged("demo", "device-1", { id: "c1" }, NOW), "taken");
  assert.equal(f.book.acknowledged("demo", "device-1", { id: "c1" }, NOW), "known");
});

test("a device's refusal is a failure with the device's words", () => {
  const f = new BookFixture();
  sent(f, "c1");
  f.book.acknowledged("demo", "device-1", { id: "c1", status: "error", message: "no such valve" }, NOW);
  assert.equal(f.statuses[0].message, "no such valve");
  assert.deepEqual(f.said(), ["c1 failed refused-by-device"]);
});

test("at-least-once: sent again soon when the connection was lost or nobody was subscribed, later when the broker has it", () => {
  const f = new BookFixture({ retryMinMs: 1000, ackRetryMinMs: 30_000 });
  const open = sent(f, "c1");
  f.book.published(open, 1, { kind: "unknown" }, NOW);
  f.book.advance(NOW + 999, 10);
  assert.deepEqual(f.published(), []);
  f.book.advance(NOW + 1000, 10);
  assert.deepEqual(f.published(), ["c1#2"]);
  f.said();
  f.book.published(open, 2, { kind: "no-subscriber" }, NOW + 1000);
  assert.deepEqual(f.said(), ["c1 sent no-subscriber"]);
  f.book.advance(NOW + 3000, 10);
  assert.deepEqual(f.published(), ["c1#3"], "the pause doubles");
  f.book.published(open, 3, { kind: "confirmed" }, NOW + 3000);
  assert.equal(f.book.nextDueTs, NOW + 3000 + 120_000, "the broker keeps it for the device: longer pauses");
});

test("at-least-once: after the last attempt it only waits, and a late acknowledgement still counts", () => {
  const f = new BookFixture({ maxAttempts: 2 });
  const open = sent(f, "c1");
  f.book.published(open, 1, { kind: "unknown" }, NOW);
  f.book.advance(NOW + 1000, 10);
  f.book.published(open, 2, { kind: "unknown" }, NOW + 1000);
  assert.equal(f.book.nextDueTs, NOW + HOUR);
  assert.equal(f.book.acknowledged("demo", "device-1", { id: "c1" }, NOW + HOUR - 1), "taken");
});

test("at-most-once: never sent again; a lost connection makes its outcome unknown, which it fails with when it expires", () => {
  const f = new BookFixture();
  const open = sent(f, "c1", { guarantee: "at-most-once", qos: 2 });
  f.book.published(open, 1, { kind: "unknown" }, NOW);
  f.book.advance(NOW + HOUR - 1, 10);
  assert.deepEqual(f.published(), []);
  f.book.advance(NOW + HOUR, 10);
  assert.deepEqual(f.said(), ["c1 sent outcome-unknown", "c1 failed outcome-unknown"]);
});

test("at-most-once: what the connection never wrote goes out later, without another `sent`", () => {
  const f = new BookFixture();
  const open = sent(f, "c1", { guarantee: "at-most-once" });
  f.book.published(open, 1, { kind: "not-written" }, NOW);
  f.book.advance(NOW + 1, 10);
  assert.deepEqual(f.said(), []);
  assert.deepEqual(f.published(), ["c1#1"]);
});

test("what the broker refuses fails, and at-most-once fails when nobody was subscribed", () => {
  const f = new BookFixture();
  f.book.published(sent(f, "c1"), 1, { kind: "refused", message: "Not authorized" }, NOW);
  assert.equal(f.statuses[0].message, "Not authorized");
  assert.deepEqual(f.said(), ["c1 failed refused-by-broker"]);
  f.book.published(sent(f, "c2", { guarantee: "at-most-once", qos: 2 }), 1, { kind: "no-subscriber" }, NOW);
  assert.deepEqual(f.said(), ["c2 failed no-subscriber"]);
});

test("expiry: never sent, or never acknowledged", () => {
  const f = new BookFixture();
  const open = sent(f, "c1");
  f.take("c2");
  f.book.published(open, 1, { kind: "confirmed" }, NOW);
  f.said();
  f.book.advance(NOW + HOUR, 0);
  assert.deepEqual(f.said().sort(), ["c1 expired no-acknowledgement", "c2 expired never-sent"]);
});

test("a command that comes too late expires without being sent", () => {
  const f = new BookFixture();
  f.take("c1", { expiresTs: NOW });
  f.book.advance(NOW, 10);
  assert.deepEqual(f.said(), ["c1 accepted", "c1 expired never-sent"]);
  assert.deepEqual(f.published(), []);
});

test("a device gets its commands in order, as many at once as its window has room for, and the next when one is done", () => {
  const f = new BookFixture({ deviceWindow: 2 });
  for (const id of ["c1", "c2", "c3", "c4"]) f.take(id);
  f.take("x1", { deviceId: "device-2" });
  f.book.advance(NOW, 10);
  assert.deepEqual(f.published(), ["c1#1", "c2#1", "x1#1"]);
  f.book.acknowledged("demo", "device-1", { id: "c2" }, NOW);
  f.book.advance(NOW, 10);
  assert.deepEqual(f.published(), ["c3#1"]);
});

test("a device's queue is bounded: more is rejected, and there is room again when one is done", () => {
  const f = new BookFixture({ deviceQueue: 2 });
  sent(f, "c1");
  f.take("c2");
  f.take("c3");
  f.book.acknowledged("demo", "device-1", { id: "c1" }, NOW);
  f.take("c4");
  assert.deepEqual(f.said(), ["c2 accepted", "c3 rejected queue-full", "c1 acknowledged", "c4 accepted"]);
});

test("no more goes out at once than the connection has room for", () => {
  const f = new BookFixture();
  for (const id of ["c1", "c2", "c3"]) f.take(id);
  f.book.advance(NOW, 2);
  assert.deepEqual(f.published(), ["c1#1", "c2#1"]);
  f.book.advance(NOW, 2);
  assert.deepEqual(f.published(), ["c3#1"]);
});

test("an outcome of an earlier attempt, or after the acknowledgement, changes nothing", () => {
  const f = new BookFixture();
  const open = sent(f, "c1");
  f.book.published(open, 1, { kind: "unknown" }, NOW);
  f.book.advance(NOW + 1000, 10);
  f.said();
  f.book.published(open, 1, { kind: "confirmed" }, NOW + 1000);
  assert.deepEqual(f.said(), []);
  f.book.acknowledged("demo", "device-1", { id: "c1" }, NOW);
  f.said();
  f.book.published(open, 2, { kind: "confirmed" }, NOW);
  assert.deepEqual(f.said(), []);
});

test("restored: at-least-once that was sent goes again at once, delivered after the rest of its pause, at-most-once never", () => {
  const f = new BookFixture({ ackRetryMinMs: 30_000 });
  const status = {
    v: 1,
    tenant: "demo",
    deviceId: "device-1",
    name: "blink",
    attempts: 1,
    ts: NOW - 10_000,
    expiresTs: NOW + HOUR,
  } as const;
  const one = { guarantee: "at-least-once" } as const;
  const once = { guarantee: "at-most-once" } as const;
  f.book.restore(command("a", one), { ...status, ...one, id: "a", state: "sent", offset: 0 }, 100, NOW);
  f.book.restore(command("b", one), { ...status, ...one, id: "b", state: "delivered", offset: 1 }, 100, NOW);
  f.book.restore(command("c", once), { ...status, ...once, id: "c", state: "sent", offset: 2 }, 100, NOW);
  f.book.restore(command("d", one), { ...status, ...one, id: "d", state: "accepted", attempts: 0, offset: 3 }, 100, NOW);
  f.book.advance(NOW, 10);
  assert.deepEqual(f.published(), ["d#1", "a#2"]);
  assert.deepEqual(f.said(), ["c sent outcome-unknown", "d sent", "a sent"]);
  f.book.advance(NOW + 20_000, 10);
  assert.deepEqual(f.published(), ["b#2"]);
  assert.equal(f.book.acknowledged("demo", "device-1", { id: "c" }, NOW), "taken");
});

const ONCE = { guarantee: "at-most-once", qos: 2 } as const;

/** A device's window of two, full of at-most-once commands that are out, and one of each kind that waits. */
function fullWindow(changes: Partial<CommandBounds> = {}) {
  const f = new BookFixture({ deviceWindow: 2, answerWaitMs: 10_000, ...changes });
  for (const id of ["o1", "o2", "o3"]) f.take(id, ONCE);
  f.take("l1");
  f.book.advance(NOW, 10);
  const out = [...f.publications];
  assert.deepEqual(f.published(), ["o1#1", "o2#1"]);
  f.said();
  return { f, out };
}

test("at-most-once: one whose connection is lost leaves the window at once, is never sent again, and its answer still counts", () => {
  const { f, out } = fullWindow();
  for (const open of out) f.book.published(open, 1, { kind: "unknown" }, NOW);
  f.book.advance(NOW, 10);
  assert.deepEqual(f.published(), ["o3#1", "l1#1"], "what waited goes out");
  f.book.acknowledged("demo", "device-1", { id: "o1" }, NOW + 5);
  f.book.advance(NOW + HOUR, 10);
  assert.deepEqual(f.published(), []);
  assert.deepEqual(
    f.said().filter((one) => /^o[12] (ack|fail|exp)/.test(one)),
    ["o1 acknowledged", "o2 failed outcome-unknown"],
  );
  assert.equal(f.book.openCount, 0);
});

for (const kind of ["confirmed", "written"] as const) {
  test(`at-most-once: one that is out (${kind}) and not answered leaves the window after answerWaitMs; the broker's answer is waited for`, () => {
    const { f, out } = fullWindow();
    f.book.advance(NOW + 60_000, 10);
    assert.deepEqual(f.published(), [], "still in the air: the connection may lose it yet");
    for (const open of out) f.book.published(open, 1, { kind }, NOW + 60_000);
    f.book.advance(NOW + 69_999, 10);
    assert.deepEqual(f.published(), []);
    f.book.advance(NOW + 70_000, 10);
    assert.deepEqual(f.published(), ["o3#1", "l1#1"]);
    assert.equal(f.book.acknowledged("demo", "device-1", { id: "o2" }, NOW + 70_001), "taken");
    f.said();
    f.book.advance(NOW + HOUR, 10);
    assert.deepEqual(f.published(), []);
    assert.deepEqual(f.said()[0], "o1 expired no-acknowledgement");
  });
}

test("what left the window counts in the device's queue until it expires", () => {
  const { f, out } = fullWindow({ deviceQueue: 4 });
  for (const open of out) f.book.published(open, 1, { kind: "unknown" }, NOW);
  f.said();
  f.take("x1");
  assert.deepEqual(f.said(), ["x1 rejected queue-full"]);
  f.book.acknowledged("demo", "device-1", { id: "o1" }, NOW);
  f.take("x2");
  assert.deepEqual(f.said(), ["o1 acknowledged", "x2 accepted"]);
});

test("at-least-once keeps its place: it is sent again until it is done", () => {
  const f = new BookFixture({ deviceWindow: 1, answerWaitMs: 10_000 });
  const open = sent(f, "l1");
  f.take("l2");
  f.book.published(open, 1, { kind: "confirmed" }, NOW);
  f.book.advance(NOW + 20_000, 10);
  assert.deepEqual(f.published(), []);
  f.book.advance(NOW + 60_000, 10);
  assert.deepEqual(f.published(), ["l1#2"]);
});

test("restored: at-most-once that was sent has no place in the window, delivered has it for the rest of answerWaitMs", () => {
  const f = new BookFixture({ deviceWindow: 1, answerWaitMs: 10_000 });
  const status = {
    v: 1,
    tenant: "demo",
    deviceId: "device-1",
    name: "blink",
    attempts: 1,
    ts: NOW - 4_000,
    expiresTs: NOW + HOUR,
  } as const;
  const restore = (id: string, state: "sent" | "delivered" | "accepted", offset: number, reason?: "outcome-unknown"): void => {
    const last = { ...status, guarantee: "at-most-once", id, state, offset, attempts: state === "accepted" ? 0 : 1, reason } as const;
    f.book.restore(command(id, ONCE), last, 100, NOW);
  };
  restore("a", "sent", 0);
  restore("b", "sent", 1, "outcome-unknown");
  restore("c", "delivered", 2);
  restore("d", "accepted", 3);
  f.book.advance(NOW + 5_999, 10);
  assert.deepEqual(f.published(), []);
  assert.deepEqual(f.said(), ["a sent outcome-unknown"]);
  f.book.advance(NOW + 6_000, 10);
  assert.deepEqual(f.published(), ["d#1"]);
  for (const id of ["a", "b", "c"]) assert.equal(f.book.acknowledged("demo", "device-1", { id }, NOW + 6_001), "taken");
});

test("a result that is too long for a status is left out, and said so", () => {
  const f = new BookFixture();
  sent(f, "c1");
  f.book.acknowledged("demo", "device-1", { id: "c1", result: "x".repeat(20_000) }, NOW);
  assert.equal(f.statuses[0].result, undefined);
  assert.match(f.statuses[0].message ?? "", /longer than/);
});

test("at-least-once: a command for a device that is offline waits as accepted, and goes out once, at once, when it is back", () => {
  const f = new BookFixture();
  f.offline.add("demo|device-1");
  f.take("c1");
  f.take("other", { deviceId: "device-2" });
  f.book.advance(NOW, 10);
  assert.deepEqual(f.published(), ["other#1"]);
  f.book.advance(NOW + HOUR - 1, 10);
  assert.deepEqual([f.published(), f.book.readyCount], [[], 0]);
  assert.deepEqual(f.said(), ["c1 accepted", "other accepted", "other sent"]);
  f.offline.clear();
  assert.equal(f.book.deviceBack("demo|device-1"), true);
  f.book.advance(NOW + HOUR - 1, 10);
  assert.deepEqual([f.published(), f.said()], [["c1#1"], ["c1 sent"]]);
  assert.equal(f.book.deviceBack("demo|device-3"), false);
});

test("at-least-once: what was sent before the device went is not sent again while it is offline, and is when it is back", () => {
  const f = new BookFixture({ retryMinMs: 1_000, ackRetryMinMs: 30_000 });
  const lost = sent(f, "lost");
  f.book.published(lost, 1, { kind: "no-subscriber" }, NOW);
  const held = sent(f, "held");
  f.book.published(held, 1, { kind: "confirmed" }, NOW);
  f.offline.add("demo|device-1");
  for (const pause of [1_000, 30_000, 60_000]) f.book.advance(NOW + pause, 10);
  assert.deepEqual(f.published(), []);
  f.offline.clear();
  f.book.deviceBack("demo|device-1");
  f.book.advance(NOW + 60_001, 10);
  assert.deepEqual(f.published().sort(), ["held#2", "lost#2"]);
});

test("a command for an offline device expires like any other, as never sent; more than its queue are rejected", () => {
  const f = new BookFixture({ deviceQueue: 1 });
  f.offline.add("demo|device-1");
  f.take("c1");
  f.take("c2");
  f.book.advance(NOW, 10);
  f.book.advance(NOW + HOUR, 10);
  assert.deepEqual(f.said(), ["c1 accepted", "c2 rejected queue-full", "c1 expired never-sent"]);
  assert.equal(f.book.openCount, 0);
});

test("at-most-once: sent once whatever presence has heard, and never again when the device is back", () => {
  const f = new BookFixture();
  f.offline.add("demo|device-1");
  f.take("c1", { guarantee: "at-most-once", qos: 0 });
  f.book.advance(NOW, 10);
  f.book.published(f.publications[0], 1, { kind: "unknown" }, NOW);
  assert.deepEqual(f.published(), ["c1#1"]);
  assert.equal(f.book.deviceBack("demo|device-1"), false);
  f.book.advance(NOW, 10);
  assert.deepEqual(f.published(), []);
});
