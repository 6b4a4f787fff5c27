import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Fixture } from "./forwarder-fixture.ts";

type Step =
  | { readonly kind: "publish"; readonly qos: 0 | 1 | 2 }
  | { readonly kind: "durable" | "failed"; readonly pick: number }
  | { readonly kind: "flush" | "reconnect" };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("publish" as const), qos: fc.constantFrom(0 as const, 1 as const, 2 as const) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("durable" as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("failed" as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("flush" as const, "reconnect" as const) }) },
);

/** What the broker knows of one connection: ids taken, in order, and how many are acknowledged. */
interface Connection {
  readonly taken: { readonly id: number; readonly name: string; readonly value: string }[];
  acked: number;
}

test("acknowledgements: always in receive order, never before durable, none across connections", () => {
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 120 }), (steps) => {
      const f = new Fixture({ windowMessages: 6 });
      const durable = new Set<string>();
      let connection: Connection = { taken: [], acked: 0 };
      let redeliveries = 0;
      let nextId = 0;
      const check = (): void => {
        if (f.redeliveries.length > redeliveries) {
          redeliveries = f.redeliveries.length;
          connection = { taken: [], acked: 0 };
        }
        for (const ack of f.acks.splice(0)) {
          const expected = connection.taken[connection.acked++];
          assert.equal(ack, `${expected?.name} ${expected?.id}`);
          assert.ok(durable.has(expected.value), "acknowledged before it was durable");
        }
      };
      for (const step of steps) {
        if (step.kind === "publish") {
          // Few ids, so that reuse after a reconnect happens all the time.
          const id = (nextId++ % 8) + 1;
          const value = `${step.qos}-${nextId}`;
          if (step.qos === 2 && connection.taken.some((message, i) => message.id === id && i >= connection.acked)) continue;
          if (step.qos === 2) f.forwarder.released(id);
          if (f.take(id, { qos: step.qos, payload: Buffer.from(value) }) && step.qos > 0) {
            connection.taken.push({ id, name: step.qos === 1 ? "puback" : "pubrec", value });
          }
        } else if (step.kind === "durable" || step.kind === "failed") {
          const pending = [...f.writer.pending];
          if (pending.length === 0) continue;
          const record = pending[step.pick % pending.length];
          if (step.kind === "durable") durable.add(record.value.toString());
          record.done(step.kind === "durable" ? undefined : new Error("lost"));
        } else if (step.kind === "flush") f.forwarder.flushAcks();
        else {
          f.forwarder.flushAcks();
          check();
          f.forwarder.connectionLost();
          f.forwarder.connectionOpened(false);
          connection = { taken: [], acked: 0 };
        }
        check();
        assert.ok(f.forwarder.inFlight <= 6 + 3, "the window is a bound");
      }
      for (const record of [...f.writer.pending]) {
        durable.add(record.value.toString());
        record.done();
      }
      f.forwarder.flushAcks();
      check();
      assert.equal(connection.acked, connection.taken.length, "everything durable is acknowledged in the end");
      assert.equal(f.forwarder.inFlight, 0);
      assert.equal(f.forwarder.inFlightBytes, 0);
    }),
    { numRuns: 500 },
  );
});
