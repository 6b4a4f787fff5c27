/** Clients that are broken or hostile, at the embedded broker: it lives, takes no more memory than they send, and serves the others meanwhile. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { generate, type IConnectPacket } from "mqtt-packet";
import { startEmbeddedBroker } from "../../../bridge/embedded-broker.ts";
import { seededRandom } from "../../faults/seeded-random.ts";
import { waitFor } from "../../support/wait-for.ts";

const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);
const CONNECTIONS = 150;
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const connectPacket = (clientId: string, more: Partial<IConnectPacket> = {}): Buffer =>
  generate({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, clientId, keepalive: 0, ...more });
const publish = (qos: 0 | 1 | 2, messageId: number): Buffer =>
  generate({ cmd: "publish", topic: "a/b", qos, messageId, dup: false, retain: false, payload: "x" });

async function underAttack(t: TestContext) {
  const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  t.after(() => broker.close());
  const port = Number(new URL(broker.url).port);
  const good = await connectAsync(broker.url, { reconnectPeriod: 0, timerVariant: "native" });
  t.after(() => good.endAsync(true));
  await good.subscribeAsync("good/#", { qos: 1 });
  const open = async (): Promise<Socket> => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => undefined); // it is hung up on
    t.after(() => void socket.destroy());
    await once(socket, "connect");
    socket.resume();
    return socket;
  };
  return { good, open };
}

/** Subscriber and publisher on one connection that was there before, during and after. */
async function works(good: MqttClient): Promise<void> {
  const payload = String(Math.random());
  const arrived = new Promise<void>((resolve) => {
    const listener = (_topic: string, bytes: Buffer): void => {
      if (bytes.toString() !== payload) return;
      good.off("message", listener);
      resolve();
    };
    good.on("message", listener);
  });
  await good.publishAsync("good/news", payload, { qos: 1 });
  await arrived;
}

/** After a CONNECT, but where `first` says that it comes instead of one. */
const NONSENSE: readonly { readonly what: string; readonly first?: true; readonly bytes: Buffer }[] = [
  { what: "HTTP", first: true, bytes: Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") },
  { what: "a PUBLISH before CONNECT", first: true, bytes: publish(1, 1) },
  { what: "a CONNECT of another protocol", first: true, bytes: hex("10 0d 00 04 41 4d 51 50 04 02 00 00 00 01 61") },
  { what: "a CONNECT with the reserved flag", first: true, bytes: hex("10 0d 00 04 4d 51 54 54 04 03 00 00 00 01 61") },
  { what: "a CONNECT that ends in its name", first: true, bytes: hex("10 0c 00 04 4d 51 54 54 04 02 00 00 ff ff") },
  { what: "a CONNECT twice", bytes: connectPacket("again") },
  { what: "packet type 0", bytes: hex("00 00") },
  { what: "packet type 15", bytes: hex("f0 00") },
  { what: "QoS 3", bytes: hex("36 02 00 00") },
  { what: "a remaining length of five bytes", bytes: hex("30 ff ff ff ff 7f") },
  { what: "a topic past the packet's end", bytes: hex("30 04 ff ff 61 62") },
  { what: "a topic with a wildcard", bytes: hex("30 05 00 03 61 2f 23") },
  { what: "a topic that is empty", bytes: hex("30 02 00 00") },
  { what: "a SUBSCRIBE to nothing", bytes: hex("82 02 00 01") },
  { what: "a SUBSCRIBE with QoS 3", bytes: hex("82 06 00 01 00 01 61 03") },
  { what: "a SUBSCRIBE to a filter that is none", bytes: hex("82 08 00 01 00 03 61 23 62 01") },
  { what: "an UNSUBSCRIBE with wrong flags", bytes: hex("a0 05 00 01 00 01 61") },
];

describe("hostile clients of the embedded broker", { concurrency: true }, () => {
  test("what makes no sense ends its connection, and no other", async (t) => {
    const { good, open } = await underAttack(t);
    for (const { what, first, bytes } of NONSENSE) {
      const socket = await open();
      const closed = once(socket, "close");
      socket.write(first === true ? bytes : Buffer.concat([connectPacket("hostile"), bytes]));
      await waitFor(`${what}: hung up on`, () => socket.closed, { deadlineMs: 3_000, intervalMs: 2 });
      await closed;
      await works(good);
    }
  });

  test("what is odd and harmless changes nothing", async (t) => {
    const { good, open } = await underAttack(t);
    const socket = await open();
    let answers = "";
    socket.on("data", (chunk: Buffer) => (answers += chunk.toString("hex")));
    const odd = [
      hex("40 02 00 07"),
      hex("50 02 00 08"),
      hex("62 02 00 09"),
      hex("70 02 00 0a"),
      publish(2, 5),
      publish(2, 5),
      hex("c0 00"),
    ];
    socket.write(Buffer.concat([connectPacket("odd"), ...odd]));
    // PINGRESP comes past what is answered later: a PUBREC each, and PUBCOMP.
    await waitFor("all is answered", () => ["d000", "50020005", "70020009"].every((answer) => answers.includes(answer)));
    await works(good);
    assert.equal(socket.closed, false);
  });

  test(`random bytes and broken packets on ${CONNECTIONS} connections (seed ${seed}): it lives and serves the others`, async (t) => {
    const { good, open } = await underAttack(t);
    const random = seededRandom(seed);
    const pick = (bound: number): number => Math.floor(random() * bound);
    for (let round = 0; round < CONNECTIONS; round++) {
      const socket = await open();
      const sound = Array.from({ length: 1 + pick(20) }, (_, i) => publish(pick(3) as 0 | 1 | 2, i + 1));
      const subscribe = generate({ cmd: "subscribe", messageId: 99, subscriptions: [{ topic: "a/#", qos: 1 }] });
      const bytes = Buffer.concat([connectPacket(`random-${round % 7}`, { clean: round % 2 === 0 }), subscribe, ...sound]);
      for (let i = pick(10); i > 0; i--) bytes[(round % 3 === 0 ? 0 : 20) + pick(bytes.length - 20)] = pick(256);
      socket.end(bytes.subarray(0, bytes.length - (round % 4 === 0 ? pick(bytes.length) : 0)));
      if (round % 10 === 0) await works(good);
    }
    await works(good);
  });

  test("packets of 256 MB that are announced by many and never come take no more than what was sent", async (t) => {
    const { good, open } = await underAttack(t);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 20; i++) {
      const socket = await open();
      socket.write(Buffer.concat([connectPacket(`big-${i}`), hex("30 ff ff ff 7f 00 01 61"), Buffer.alloc(1 << 18)]));
    }
    await works(good);
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 << 20);
  });
});
