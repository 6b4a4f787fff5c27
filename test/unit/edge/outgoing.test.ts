import assert from "node:assert/strict";
import { test } from "node:test";
import type { IPublishPacket, Packet } from "mqtt-packet";
import type { Delivery, DownMessage } from "../../../bridge/edge/down-message.ts";
import { Outgoing } from "../../../bridge/edge/outgoing.ts";
import { newMemory } from "../../../bridge/edge/session-host.ts";

const ACK_TIMEOUT_MS = 1_000;

function fixture(bounds: { window?: number; queue?: number } = {}, memory = newMemory()) {
  const written: Packet[] = [];
  const link = { isFull: false, maxBytes: Infinity };
  const outgoing = new Outgoing({ window: 2, queue: 3, ackTimeoutMs: ACK_TIMEOUT_MS, ...bounds }, memory, {
    mayWrite: () => !link.isFull,
    write: (packet) => {
      if (packet.cmd === "publish" && packet.payload.length > link.maxBytes) return false;
      written.push(packet);
      return true;
    },
  });
  const deliveries: string[] = [];
  const offer = (name: string, qos: 0 | 1 | 2 = 1, granted = qos, changes: Partial<DownMessage> = {}): void => {
    const message: DownMessage = {
      topic: "t/demo/d/a/cmd",
      payload: Buffer.from(name),
      qos,
      properties: {},
      messageExpiryS: undefined,
      cameAtMs: performance.now(),
      ...changes,
    };
    outgoing.offer(message, granted, (delivery: Delivery) => deliveries.push(`${name} ${delivery}`));
  };
  /** `publish a 1 qos 2`, `pubrel 3` */
  const texts = (): string[] =>
    written.map((packet) =>
      packet.cmd === "publish"
        ? `publish ${String(packet.payload)} ${packet.messageId ?? "-"} qos ${packet.qos}`
        : `${packet.cmd} ${packet.messageId ?? 0}`,
    );
  const published = (): IPublishPacket[] => written.filter((packet) => packet.cmd === "publish");
  return { outgoing, memory, link, offer, texts, published, deliveries };
}

test("a device has a window of messages unacknowledged and a bounded queue behind; what is beyond is given up at once", () => {
  const f = fixture();
  for (const name of ["a", "b", "c", "d", "e", "f"]) f.offer(name);
  assert.deepEqual(f.texts(), ["publish a 1 qos 1", "publish b 2 qos 1"]);
  assert.deepEqual(f.deliveries, ["f full"]);
  f.outgoing.answered({ cmd: "puback", messageId: 2 });
  f.outgoing.answered({ cmd: "puback", messageId: 2 });
  f.outgoing.answered({ cmd: "pubrec", messageId: 1 });
  assert.deepEqual(f.deliveries, ["f full", "b delivered"], "neither twice, nor by another message's kind of answer");
  assert.deepEqual(f.texts().slice(2), ["publish c 3 qos 1", "pubrel 1"]);
  f.outgoing.answered({ cmd: "puback", messageId: 1, reasonCode: 0x97 });
  f.outgoing.close();
  assert.deepEqual(f.deliveries.slice(2), ["a refused", "c away", "d away", "e away"]);
});

test("a message goes with the QoS that was granted, or with its own where that is lower; QoS 0 needs no room but the socket's", () => {
  const f = fixture();
  f.offer("a", 2, 1);
  f.offer("b", 1, 2);
  f.offer("c", 0, 2);
  f.offer("d", 2, 0);
  assert.deepEqual(f.texts(), ["publish a 1 qos 1", "publish b 2 qos 1", "publish c - qos 0", "publish d - qos 0"]);
  f.link.isFull = true;
  f.offer("e", 0);
  assert.equal(f.published().length, 4);
  f.link.isFull = false;
  f.outgoing.pump();
  assert.deepEqual(f.deliveries, ["c delivered", "d delivered", "e delivered"]);
});

test("QoS 2 is delivered with PUBREC, keeps its place until PUBCOMP, and is completed on the next connection", () => {
  const f = fixture({ window: 1 });
  f.offer("a", 2);
  f.offer("b", 2);
  f.outgoing.answered({ cmd: "pubrec", messageId: 1 });
  assert.deepEqual([f.deliveries, f.texts()], [["a delivered"], ["publish a 1 qos 2", "pubrel 1"]]);
  f.outgoing.close();
  const next = fixture({ window: 1 }, f.memory);
  next.outgoing.resume();
  next.offer("c", 2);
  assert.deepEqual(next.texts(), ["pubrel 1"]);
  next.outgoing.answered({ cmd: "pubcomp", messageId: 1 });
  assert.deepEqual(next.texts(), ["pubrel 1", "publish c 2 qos 2"]);
});

test("what is not acknowledged in time is told as that, once, and its id is no other message's until the device answers", () => {
  const f = fixture();
  const now = performance.now();
  f.offer("a");
  f.offer("b");
  f.offer("c");
  f.outgoing.expire(now + ACK_TIMEOUT_MS / 2);
  assert.deepEqual(f.deliveries, []);
  f.outgoing.expire(performance.now() + ACK_TIMEOUT_MS);
  assert.deepEqual(f.deliveries, ["a timeout", "b timeout", "c timeout"]);
  f.offer("d");
  assert.equal(f.published().length, 2, "the window is still full");
  f.memory.lastMessageId = 65_535;
  f.outgoing.answered({ cmd: "puback", messageId: 1 });
  f.outgoing.answered({ cmd: "puback", messageId: 2 });
  f.outgoing.close();
  assert.deepEqual(f.deliveries.slice(3), ["d away"]);
  assert.equal(f.texts().at(-1), "publish d 1 qos 1", "ids go round");
});

test("a message too large for its device, or past its expiry, is told as that and holds up nothing; what is left of a life goes along", () => {
  const f = fixture();
  f.link.maxBytes = 5;
  f.offer("too large");
  f.offer("old", 1, 1, { messageExpiryS: 2, cameAtMs: performance.now() - 2_000 });
  f.offer("young", 1, 1, { messageExpiryS: 10, cameAtMs: performance.now() - 3_000, properties: { contentType: "x/y" } });
  assert.deepEqual(f.deliveries, ["too large too-large", "old expired"]);
  assert.deepEqual(f.published()[0].properties, { contentType: "x/y", messageExpiryInterval: 7 });
});
