import assert from "node:assert/strict";
import { test } from "node:test";
import { generateFleet } from "../../../cli/simulate/fleet.ts";
import { openLogSink } from "../../../cli/simulate/log-sink.ts";
import { openMqttSink } from "../../../cli/simulate/mqtt-sink.ts";
import { publishEvents, type EventSink } from "../../../cli/simulate/publisher.ts";
import { Room } from "../../../cli/simulate/room.ts";
import type { SimulatedEvent } from "../../../cli/simulate/simulated-event.ts";
import { FakeWriter, fakeLog } from "../bridge/fake-writer.ts";

class Collector implements EventSink {
  readonly at: number[] = [];
  readonly #startedAt = performance.now();
  /** How long the first event blocks. */
  readonly #stallMs: number;

  constructor(stallMs = 0) {
    this.#stallMs = stallMs;
  }

  send(_event: SimulatedEvent): Promise<void> | undefined {
    this.at.push(performance.now() - this.#startedAt);
    return this.at.length === 1 && this.#stallMs > 0 ? new Promise((resolve) => setTimeout(resolve, this.#stallMs)) : undefined;
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

test("paced events go at their time, never early, and a stall does not delay those that are not due yet", async () => {
  const sink = new Collector(60);
  await publishEvents(generateFleet({ count: 30, rate: 100 }).events(), sink, { paced: true });
  sink.at.forEach((at, index) => assert.ok(at >= index * 10 - 1.5, `event ${index} at ${at} ms`));
  assert.ok(sink.at[29] < 290 + 60, `the last of 30 events at 10 ms came at ${sink.at[29]} ms`);
});

test("unpaced, a fleet of an hour is sent at once; a duration or an abort ends one without end", async () => {
  const sink = new Collector();
  const all = await publishEvents(generateFleet({ count: 3600, rate: 1 }).events(), sink, { paced: false });
  assert.equal(all.sent, 3600);
  const some = await publishEvents(generateFleet({ rate: 100 }).events(), sink, { paced: true, durationMs: 100 });
  assert.ok(some.sent >= 5 && some.sent <= 15, `${some.sent} sent`);
  const none = await publishEvents(generateFleet({ rate: 100 }).events(), sink, { paced: true, signal: AbortSignal.abort() });
  assert.equal(none.sent, 0);
});

test("room: full at its limit, free again below it, empty at the end, and an error ends every wait", async () => {
  const room = new Room(2);
  assert.equal(room.take(), undefined);
  const full = room.take();
  assert.ok(full instanceof Promise);
  room.leave();
  await full;
  const empty = room.empty();
  room.leave();
  await empty;
  void room.take();
  const waiting = assert.rejects(room.empty(), /broken/);
  room.leave(new Error("broken"));
  await waiting;
  await assert.rejects(room.empty(), /broken/);
});

test("the log sink writes what the ingress would: bytes, key, headers, time", async () => {
  const writer = new FakeWriter();
  writer.auto = true;
  const sink = await openLogSink(fakeLog(writer), "raw");
  const events = [...generateFleet({ count: 50, devices: 3, startTs: 1_000_000 }).events()];
  await publishEvents(events, sink, { paced: false });
  assert.deepEqual(
    writer.sent.map(({ value }) => value),
    events.map(({ bytes }) => bytes),
  );
  const [first] = writer.sent;
  assert.deepEqual([first.topic, first.key, first.timestamp], ["raw", "demo|device-1", 1_000_000]);
  assert.equal(first.headers["mqtt.topic"], "t/demo/d/device-1/telemetry");
  assert.equal(writer.pending.size, 0);
});

test("an MQTT broker that is not there is an error, not a wait without end", async () => {
  await assert.rejects(openMqttSink({ url: "mqtt://127.0.0.1:1", qos: 1, connectTimeoutMs: 500 }), /ECONNREFUSED/);
});
