/** Presence: when a device counts as online, offline or stale, and what never makes it flap. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodePresence, parsePresence, parseState } from "../../../bridge/presence/formats.ts";
import { PresenceMachine, SWEEPS_PER_ROUND, type PresenceView } from "../../../bridge/presence/presence-machine.ts";

const SETTINGS = { staleAfterMs: 60_000, offlineHoldMs: 5_000, reconnectHoldMs: 30_000, maxDevices: 10_000 };
const SWEEP_MS = 500;

class Fixture {
  nowMs = 1_000_000;
  readonly changes: string[] = [];
  readonly views: PresenceView[] = [];
  readonly machine: PresenceMachine;

  constructor(settings: Partial<typeof SETTINGS> = {}) {
    // The wall clock of the records is another than that of the waiting.
    const clock = { epochMs: () => this.nowMs + 7e11, monotonicMs: () => this.nowMs };
    this.machine = new PresenceMachine({ ...SETTINGS, ...settings }, clock, (key, view) => {
      this.changes.push(`${key} ${view.status} ${view.reason}`);
      this.views.push(view);
    });
    this.machine.brokerBack();
  }

  pass(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end;) {
      this.nowMs += SWEEP_MS;
      this.machine.sweep();
    }
  }
}

/** Until silence is surely noticed. */
const STALE_MS = SETTINGS.staleAfterMs + SWEEPS_PER_ROUND * SWEEP_MS;

test("telemetry makes a device online, silence stale, telemetry online again; each change once, with its times", () => {
  const f = new Fixture();
  for (let i = 0; i < 5; i++) {
    f.machine.seen("t|a");
    f.pass(10_000);
  }
  const seenTs = f.nowMs - 10_000 + 7e11;
  f.pass(STALE_MS);
  f.machine.seen("t|a");
  assert.deepEqual(f.changes, ["t|a online telemetry", "t|a stale silence", "t|a online telemetry"]);
  const [, stale] = f.views;
  assert.equal(stale.lastSeenTs, seenTs);
  assert.ok(stale.sinceTs - seenTs >= SETTINGS.staleAfterMs && stale.sinceTs - seenTs <= STALE_MS);
});

test("a Last Will makes a device offline after the hold, as of when it came; one that shows itself meanwhile stays online", () => {
  const f = new Fixture();
  f.machine.seen("t|a");
  f.machine.seen("t|b");
  f.pass(40_000);
  const willTs = f.nowMs + 7e11;
  f.machine.state("t|a", "offline", "will", false);
  f.machine.state("t|b", "offline", "will", false);
  f.pass(4_000);
  f.machine.state("t|b", "online", "state", false);
  f.pass(4_000);
  assert.deepEqual(f.changes.slice(2), ["t|a offline will"]);
  assert.equal(f.views[2].sinceTs, willTs);
  f.pass(2 * STALE_MS);
  assert.equal(f.machine.view("t|a")?.status, "offline", "an offline device does not become stale");
});

test("a broker restart does not flap the fleet: wills, time away, slow returns; who stays away is offline after the hold", () => {
  const f = new Fixture();
  const fleet = Array.from({ length: 1000 }, (_, i) => `t|${i}`);
  for (const key of fleet) f.machine.seen(key);
  f.pass(10_000);
  const before = f.changes.length;
  for (const key of fleet) f.machine.state(key, "offline", "will", false);
  f.machine.brokerLost();
  f.pass(10 * STALE_MS);
  f.machine.brokerBack();
  // The broker's memory still holds the wills.
  for (const key of fleet) f.machine.state(key, "offline", "will", true);
  for (const [at, key] of fleet.slice(0, 990).entries()) {
    if (at % 50 === 0) f.pass(SWEEP_MS);
    f.machine.seen(key);
  }
  assert.equal(f.changes.length, before);
  f.pass(SETTINGS.reconnectHoldMs);
  assert.deepEqual(
    f.changes.slice(before),
    fleet.slice(990).map((key) => `${key} offline will`),
  );
});

test("a restart of the ingress does not flap: what was written is known, silence counts from the start, retained states reconcile", () => {
  const before: PresenceView = { status: "online", reason: "telemetry", sinceTs: 1, lastSeenTs: 2, retained: false };
  const f = new Fixture();
  for (const key of ["t|a", "t|b", "t|c"]) f.machine.restore(key, before);
  f.machine.restore("t|d", { ...before, status: "offline" });
  for (const key of ["t|a", "t|c", "t|d"]) f.machine.state(key, "online", "state", true);
  f.machine.state("t|b", "offline", "will", true);
  f.machine.seen("t|a");
  f.pass(SETTINGS.reconnectHoldMs + SWEEP_MS);
  assert.deepEqual(f.changes, ["t|d online state", "t|b offline will"]);
  assert.deepEqual(
    f.views.map(({ retained }) => retained),
    [true, true],
    "both are marked as told by the broker's memory",
  );
  f.pass(STALE_MS);
  assert.ok(f.changes.includes("t|c stale silence"), "a retained online is no sign of life");
});

test("beyond maxDevices a device is not followed, and counted", () => {
  const f = new Fixture({ maxDevices: 2 });
  for (const key of ["t|a", "t|b", "t|c"]) f.machine.seen(key);
  assert.deepEqual([f.machine.size, f.machine.overflow, f.changes.length], [2, 1, 2]);
});

type Step = ["seen" | "online" | "offline" | "retained-online" | "retained-offline" | "lost" | "back" | "pass", number];

test("whatever happens: no status twice in a row, no offline for who showed itself since, no stale while the broker is away or one was just heard", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constantFrom("seen", "online", "offline", "retained-online", "retained-offline"), fc.nat(2)) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom("lost", "back"), fc.constant(0)) },
    { weight: 4, arbitrary: fc.tuple(fc.constant("pass"), fc.nat(90_000)) },
  ) as fc.Arbitrary<Step>;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const f = new Fixture();
      const heard = new Map<string, number>();
      const said = new Map<string, number>();
      const status = new Map<string, string>();
      let connected = true;
      let connectedAt = f.nowMs;
      let checked = 0;
      const check = (): void => {
        for (; checked < f.changes.length; checked++) {
          const [key, now] = f.changes[checked].split(" ");
          assert.notEqual(status.get(key), now);
          status.set(key, now);
          const quietMs = f.nowMs - Math.max(heard.get(key) ?? 0, connectedAt);
          if (now === "stale") assert.ok(connected && quietMs >= SETTINGS.staleAfterMs);
          if (now === "offline") {
            assert.ok(connected && (said.get(key) ?? 0) >= (heard.get(key) ?? 0), "offline was the last word");
            assert.ok(f.nowMs - (said.get(key) ?? 0) >= SETTINGS.offlineHoldMs);
          }
        }
      };
      for (const [what, number] of steps) {
        const key = `t|${number}`;
        if (what === "pass") {
          for (const end = f.nowMs + number; f.nowMs < end; check()) f.pass(SWEEP_MS);
        } else if (what === "lost") f.machine.brokerLost();
        else if (what === "back") f.machine.brokerBack();
        else f.machine.state(key, what.endsWith("online") || what === "seen" ? "online" : "offline", "x", what.startsWith("retained"));
        if (what === "lost") connected = false;
        if (what === "back") [connected, connectedAt] = [true, f.nowMs];
        if (what === "seen" || what === "online") heard.set(key, f.nowMs);
        if (what === "retained-online") said.delete(key);
        if (what.endsWith("offline") && !said.has(key)) said.set(key, f.nowMs);
        if (what === "seen" || what === "online") said.delete(key);
        check();
      }
      f.machine.brokerBack();
      [connected, connectedAt] = [true, f.nowMs];
      for (const end = f.nowMs + 2 * STALE_MS; f.nowMs < end; check()) f.pass(SWEEP_MS);
      for (const [key, now] of status) assert.notEqual(now, "online", `${key} is not heard any more`);
    }),
    { numRuns: 300 },
  );
});

test("a state is online, offline or JSON that says so; anything else is none, and nothing crashes it", () => {
  const of = (text: string) => parseState(Buffer.from(text));
  assert.deepEqual(of(" online\n"), { says: "online", reason: "state" });
  assert.deepEqual(of('{"status":"offline","reason":"battery"}'), { says: "offline", reason: "battery" });
  for (const text of ["", "1", "null", "on", "{", '{"status":"gone"}', `{"status":"online","x":"${"x".repeat(5000)}"}`])
    assert.equal(of(text), undefined);
  assert.equal(of(`{"status":"offline","reason":"${"r".repeat(1000)}"}`)?.reason.length, 128);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void parseState(bytes)));
});

test("a record is read back as it was written", () => {
  const view: PresenceView = { status: "offline", reason: "will", sinceTs: 5, lastSeenTs: 4, retained: true };
  const value = encodePresence("acme|a", view);
  assert.deepEqual(JSON.parse(value?.toString() ?? ""), { v: 1, tenant: "acme", deviceId: "a", ...view });
  assert.deepEqual(parsePresence(value ?? Buffer.alloc(0)), view);
  for (const text of ["", "{", "null", '{"status":"online"}', '{"status":"x","reason":"","sinceTs":1,"lastSeenTs":1}'])
    assert.equal(parsePresence(Buffer.from(text)), undefined);
});

test("a device that is forgotten is neither silent nor offline here, and those around it are looked at as before", () => {
  const f = new Fixture();
  const ids = Array.from({ length: 50 }, (_, n) => `t|${n}`);
  for (const id of ids) f.machine.seen(id);
  f.pass(3_000);
  f.machine.state("t|7", "offline", "will", false);
  const gone = new Set(["t|0", "t|7", "t|30", "t|49", "never|there"]);
  for (const id of gone) f.machine.forget(id);
  f.pass(STALE_MS);
  const wanted = ids.filter((id) => !gone.has(id));
  assert.deepEqual(f.changes.slice(50).sort(), wanted.map((id) => `${id} stale silence`).sort());
  assert.equal(f.machine.size, wanted.length);
  for (const id of wanted) f.machine.forget(id);
  f.pass(SWEEP_MS);
  f.machine.seen("t|7");
  assert.equal(f.changes.at(-1), "t|7 online telemetry");
});
