import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { StreamClient } from "../../../api/stream/client.ts";
import { STREAM_TYPES, type StreamEvent } from "../../../api/stream/event.ts";

const ALL = {
  types: new Set(STREAM_TYPES),
  tenant: undefined,
  tenants: "*",
  deviceId: undefined,
  sample: undefined,
  focus: undefined,
} as const;
const MINUTE_MS = 60_000;

/** A connection that takes one chunk when it is told to. */
class Reluctant extends Writable {
  #taken: (() => void) | undefined;

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    this.#taken = done;
  }

  async takeOne(): Promise<void> {
    this.#taken?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function event(bytes: number): StreamEvent {
  return { type: "normalized", tenant: "demo", deviceId: "d1", frame: "x".repeat(bytes) };
}

test("a client that has taken nothing for a minute is given up", () => {
  const client = new StreamClient(
    new Reluctant(),
    ALL,
    () => undefined,
    () => true,
  );
  client.offer([event(10)], 0, 0);
  assert.equal(client.heartbeat(0), true);
  assert.equal(client.heartbeat(MINUTE_MS - 1), true);
  assert.equal(client.heartbeat(MINUTE_MS), false);
});

test("a slow client that is never empty but goes on reading is kept", async () => {
  const out = new Reluctant();
  const client = new StreamClient(
    out,
    ALL,
    () => undefined,
    () => true,
  );
  for (let now = 0; now < 10 * MINUTE_MS; now += 15_000) {
    client.offer([event(1000), event(1000)], 0, now);
    await out.takeOne();
    assert.ok(out.writableLength > 0);
    assert.equal(client.heartbeat(now), true);
  }
});

test("what waits for a client never exceeds its bound, whatever is offered, and every event is sent or counted", () => {
  const out = new Reluctant();
  let dropped = 0;
  const client = new StreamClient(
    out,
    ALL,
    (count) => (dropped += count),
    () => true,
  );
  for (let n = 0; n < 1000; n++) client.offer([event(999), event(1)], 0, n);
  assert.ok(out.writableLength <= 256 * 1024);
  assert.ok(dropped > 1000 && dropped < 2000);
});
