import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ExpectedLedger } from "../../../cli/simulate/fleet-expected.ts";
import type { FleetOptions } from "../../../cli/simulate/fleet-options.ts";
import { generateFleet } from "../../../cli/simulate/fleet.ts";
import type { SimulatedEvent } from "../../../cli/simulate/simulated-event.ts";

/** The ledger by its definition, from the bytes alone. */
function recount(events: Iterable<SimulatedEvent>): { distinct: Set<string>; ledgers: Map<string, ExpectedLedger> } {
  const distinct = new Set<string>();
  const devices = new Map<string, { ledger: ExpectedLedger; boots: Map<string, Set<number>> }>();
  for (const { tenant, bytes } of events) {
    const { deviceId, bootId, seq } = JSON.parse(bytes.toString()) as { deviceId: string; bootId: string; seq: number };
    let device = devices.get(deviceId);
    if (device === undefined) {
      const ledger = { received: 0, duplicates: 0, outOfOrder: 0, gapsOpen: 0, lost: 0, reboots: 0 };
      devices.set(deviceId, (device = { ledger, boots: new Map() }));
    }
    const { ledger, boots } = device;
    if (!boots.has(bootId)) {
      if (boots.size > 0) ledger.reboots++;
      boots.set(bootId, new Set());
    }
    const seen = boots.get(bootId) ?? new Set();
    const id = `${tenant}|${deviceId}|${bootId}|${seq}`;
    if (distinct.has(id)) {
      ledger.duplicates++;
      continue;
    }
    distinct.add(id);
    ledger.received++;
    if ([...seen].some((other) => other > seq)) ledger.outOfOrder++;
    seen.add(seq);
  }
  for (const { ledger, boots } of devices.values()) {
    for (const seen of boots.values()) {
      for (let seq = Math.min(...seen); seq <= Math.max(...seen); seq++) if (!seen.has(seq)) ledger.gapsOpen++;
    }
  }
  return { distinct, ledgers: new Map([...devices].map(([deviceId, { ledger }]) => [deviceId, ledger])) };
}

const share = fc.double({ min: 0, max: 0.5, noNaN: true });
const anyFleet: fc.Arbitrary<Partial<FleetOptions>> = fc.record({
  seed: fc.integer(),
  devices: fc.integer({ min: 1, max: 20 }),
  count: fc.integer({ min: 0, max: 400 }),
  duplicates: share,
  duplicateDistance: fc.integer({ min: 1, max: 300 }),
  reorder: share,
  gaps: share,
  reboots: share,
  clockSkewMs: fc.integer({ min: 0, max: 100_000 }),
});

test("the expected outcome is what a naive recount of the messages finds, whatever the fleet", () => {
  fc.assert(
    fc.property(anyFleet, (options) => {
      const fleet = generateFleet(options);
      const events = [...fleet.events()];
      assert.equal(events.length, options.count);
      const counted = recount(events);
      assert.deepEqual(fleet.expected.distinct, counted.distinct);
      assert.deepEqual(fleet.expected.ledgers, counted.ledgers);
    }),
    { numRuns: 200 },
  );
});

test("200,000 messages of 2,000 devices: the shares asked for, some duplicates 50,000 apart, within seconds", () => {
  const started = performance.now();
  const options = { seed: 7, devices: 2000, count: 200_000, rate: 2000, duplicates: 0.1, reorder: 0.05, gaps: 0.01, reboots: 0.001 };
  const fleet = generateFleet(options);
  const firstAt = new Map<string, number>();
  const farthest = { distance: 0, over40k: 0 };
  let index = 0;
  for (const { deviceId, payload } of fleet.events()) {
    const id = [deviceId, payload.bootId, payload.seq].join("|");
    const at = firstAt.get(id);
    if (at === undefined) firstAt.set(id, index);
    else {
      farthest.distance = Math.max(farthest.distance, index - at);
      if (index - at > 40_000) farthest.over40k++;
    }
    index++;
  }
  const sums = { received: 0, duplicates: 0, outOfOrder: 0, gapsOpen: 0, reboots: 0 };
  for (const ledger of fleet.expected.ledgers.values()) {
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += ledger[name];
  }
  const elapsedMs = performance.now() - started;
  assert.equal(index, 200_000);
  assert.equal(sums.received + sums.duplicates, 200_000);
  assert.equal(fleet.expected.distinct.size, firstAt.size);
  const near = (actual: number, wanted: number): boolean => Math.abs(actual - wanted) < 0.1 * wanted;
  assert.ok(near(sums.duplicates, 20_000), `${sums.duplicates} duplicates`);
  assert.ok(near(sums.outOfOrder, 9_000), `${sums.outOfOrder} out of order`);
  assert.ok(near(sums.gapsOpen, 2 * 1_800), `${sums.gapsOpen} missing`);
  assert.ok(sums.reboots > 100, `${sums.reboots} reboots`);
  assert.ok(farthest.over40k > 500 && farthest.distance > 49_000, JSON.stringify(farthest));
  assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
});

test("the same seed makes the same bytes, another seed others", () => {
  const options = { devices: 5, count: 200, duplicates: 0.1, reorder: 0.1, gaps: 0.1, reboots: 0.05 };
  const bytes = (seed: number): string =>
    [...generateFleet({ ...options, seed }).events()].map((event) => event.bytes.toString()).join("\n");
  assert.equal(bytes(1), bytes(1));
  assert.notEqual(bytes(1), bytes(2));
});

test("sending times are evenly spaced at the rate, and a right clock's ts is not after the sending time by more than a message", () => {
  const events = [...generateFleet({ devices: 3, count: 100, rate: 50, startTs: 1_000, reorder: 0.2, duplicates: 0.2 }).events()];
  events.forEach((event, index) => assert.ok(Math.abs(event.sendAtMs - (1_000 + index * 20)) < 1e-6));
  assert.ok(events.every((event) => event.payload.ts <= event.sendAtMs + 3 * 20 + 1));
});

test("only every tenth device has a wrong clock, by no more than asked", () => {
  const fleet = (clockSkewMs: number): SimulatedEvent[] => [...generateFleet({ devices: 20, count: 20, clockSkewMs }).events()];
  const right = fleet(0);
  const errors = fleet(60_000).map((event, index) => Math.abs(event.payload.ts - right[index].payload.ts));
  assert.ok(errors.every((error, index) => (index % 10 === 0 ? error <= 60_000 : error === 0)));
  assert.ok(errors[0] > 0);
});

test("options that make no sense are named", () => {
  assert.throws(() => generateFleet({ duplicates: 1 }), /duplicates must be a share/);
  assert.throws(() => generateFleet({ devices: 0 }), /devices must be/);
  assert.throws(() => generateFleet({ rate: 0 }), /rate must be/);
  assert.throws(() => generateFleet({}).expected, /without a count/);
});
