/**
 * An MQTT broker that is broken or hostile: whatever it says, the ingress lives, ends a connection that makes no sense, comes back with
 * back-off and works with a sound one. Nothing of a payload is in its log.
 */
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { describe, test, type TestContext } from "node:test";
import { pino } from "pino";
import { Registry } from "prom-client";
import { seededRandom } from "../../faults/seeded-random.ts";
import { recorder } from "../../support/log-recorder.ts";
import { waitFor } from "../../support/wait-for.ts";
import { FakeWriter, fakeLog } from "./fake-writer.ts";
import { makeIngress } from "./ingress-fixture.ts";
import { RawBroker, type RawConnection, type Version } from "./raw-broker.ts";

const SECRET = "payload-of-a-device";
const WINDOW = 20;
const CONNECTIONS = 80;
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);

async function underAttack(t: TestContext, version: Version) {
  const broker = await RawBroker.start(t, version);
  const writer = new FakeWriter();
  writer.auto = true;
  let log = "";
  const sink = new Writable({
    write(chunk, _encoding, done) {
      log += String(chunk);
      done();
    },
  });
  const ingress = makeIngress(
    t,
    fakeLog(writer),
    {
      url: broker.url,
      protocolVersion: version,
      keepaliveS: 1,
      reconnectMinMs: 1,
      reconnectMaxMs: 4,
      windowMessages: WINDOW,
      stopTimeoutMs: 50,
    },
    new Registry(),
    { logger: pino({ level: "trace" }, sink) },
  );
  ingress.start().catch(() => undefined); // the tests end while it still connects
  t.after(() => assert.doesNotMatch(log, new RegExp(SECRET), "no payload in the log"));
  return { broker, writer, ingress, log: () => log };
}

/** A connection on which a message is taken, written and acknowledged. */
async function works({ broker, writer }: { broker: RawBroker; writer: FakeWriter }, connection: RawConnection): Promise<void> {
  const payload = `{"n":${writer.sent.length}}`;
  connection.socket.write(Buffer.concat([broker.connack(), broker.publish(77, payload)]));
  await waitFor("a sound message is acknowledged", () =>
    connection.received.some(({ cmd, messageId }) => cmd === "puback" && messageId === 77),
  );
  assert.ok(writer.sent.some(({ value }) => value.toString() === payload));
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const telemetry = Buffer.concat([hex("0014"), Buffer.from("t/demo/d/a/telemetry")]);

/** A PUBLISH whose body is this. */
function publishOf(...body: Buffer[]): Buffer {
  const bytes = Buffer.concat(body);
  return Buffer.concat([Buffer.from([0x32, bytes.length]), bytes]);
}

/** What no client can go on after: it has to end the connection itself. */
const NONSENSE: readonly { readonly what: string; readonly only?: Version; readonly instead?: true; readonly bytes: Buffer }[] = [
  { what: "a PUBLISH before CONNACK", instead: true, bytes: publishOf(telemetry, hex("0001 00"), Buffer.from(SECRET)) },
  { what: "a CONNACK without anything in it", instead: true, bytes: hex("20 00") },
  { what: "a CONNACK with reserved flags", instead: true, bytes: hex("20 03 fe 00 00") },
  { what: "a CONNACK twice", bytes: hex("20 03 01 00 00") },
  { what: "QoS 3", bytes: hex("36 02 00 00") },
  { what: "packet type 0", bytes: hex("00 00") },
  { what: "a remaining length of five bytes", bytes: hex("30 ff ff ff ff 7f") },
  { what: "a PUBLISH that ends in its topic", bytes: hex("30 04 00 14 74 2f") },
  { what: "a QoS 1 PUBLISH without a packet id", bytes: publishOf(telemetry) },
  { what: "a PUBLISH with packet id 0", bytes: publishOf(telemetry, hex("0000 00"), Buffer.from(SECRET)) },
  { what: "a PUBREL with wrong flags", bytes: hex("60 02 00 01") },
  { what: "a property that there is none of", only: 5, bytes: publishOf(telemetry, hex("0001 02 7f 00")) },
  { what: "a property of length zero", only: 5, bytes: publishOf(telemetry, hex("0001 01 00")) },
  { what: "a topic alias over the maximum", only: 5, bytes: publishOf(telemetry, hex("0001 03 23 ff 00")) },
  { what: "a topic alias that was never given a topic", only: 5, bytes: publishOf(hex("0000 0001 03 23 00 07")) },
  { what: "DISCONNECT: session taken over, and the connection left open", only: 5, bytes: hex("e0 02 8e 00") },
  { what: "a DISCONNECT with a code that there is none of", only: 5, bytes: hex("e0 02 01 00") },
  { what: "AUTH unasked", only: 5, bytes: hex("f0 02 18 00") },
];

// All at once: they wait more than they compute.
describe("a broken or hostile broker", { concurrency: true }, () => {
  for (const version of [4, 5] as const) {
    test(`MQTT ${version}: the ingress ends a connection on which nonsense comes, takes nothing of it, and works on the next`, async (t) => {
      const attack = await underAttack(t, version);
      for (const { what, only, instead, bytes } of NONSENSE) {
        if (only !== undefined && only !== version) continue;
        const connection = await attack.broker.next();
        const before = attack.writer.sent.length;
        connection.socket.write(instead === true ? bytes : Buffer.concat([attack.broker.connack(), bytes]));
        await waitFor(`${what}: the connection is ended`, () => connection.closed, { deadlineMs: 3_000, intervalMs: 2 });
        assert.equal(attack.writer.sent.length, before, `${what}: nothing was written`);
        const next = await attack.broker.next();
        await works(attack, next);
        next.socket.destroy();
      }
    });

    test(`MQTT ${version}: refused with any reason code there is, and many that there are not, it asks again`, async (t) => {
      const attack = await underAttack(t, version);
      const codes = version === 4 ? [2, 3, 4, 5, 6, 0x80, 0xff] : [...Array.from({ length: 0x22 }, (_, code) => 0x80 + code), 2, 0xff];
      for (const code of codes) {
        if (version === 5 && code === 0x84) continue; // asks for 3.1.1 from then on: ingress-wire.test.ts
        const connection = await attack.broker.next();
        connection.socket.write(attack.broker.connack(code, false));
        await waitFor(`code ${code}: the connection is ended`, () => connection.closed, { intervalMs: 1 });
      }
      await works(attack, await attack.broker.next());
    });

    test(`MQTT ${version}: what is odd and harmless changes nothing`, async (t) => {
      const attack = await underAttack(t, version);
      const { broker, writer } = attack;
      const connection = await broker.next();
      await works(attack, connection);
      const before = writer.sent.length;
      const odd = [
        hex("62 02 ea 60"), // PUBREL of a message that never was
        hex("62 02 ea 60"),
        hex("40 02 00 07"), // acknowledgements of what was never sent
        hex("50 02 00 08"),
        hex("70 02 00 09"),
        hex(version === 5 ? "90 04 12 34 00 00" : "90 03 12 34 00"), // SUBACK and UNSUBACK that nobody waits for
        hex(version === 5 ? "b0 04 12 35 00 00" : "b0 02 12 35"),
        hex("d0 00"), // PINGRESP unasked
        broker.publish(5, "the same", 2),
        broker.publish(5, "the same", 2),
        hex(version === 5 ? "30 09 00 06 74 2f c3 28 ff fe 00" : "30 08 00 06 74 2f c3 28 ff fe"), // a topic that is no UTF-8
      ];
      for (const bytes of odd) connection.socket.write(bytes);
      connection.socket.write(broker.publish(78, "after it"));
      await waitFor("what follows is acknowledged", () => connection.received.some(({ messageId }) => messageId === 78));
      const written = new Set(writer.sent.slice(before).map(({ topic, value }) => `${topic}: ${value.toString()}`));
      assert.ok(written.has("raw: the same") && written.has("raw: after it"), [...written].join());
      assert.equal(writer.sent.slice(before).filter(({ value }) => value.toString() === "the same").length, 1, "QoS 2 once");
      assert.equal(broker.connections, 1);
    });

    test(`MQTT ${version}: a packet id that stands for another QoS 2 message before its PUBREL loses nothing (Mosquitto 2.0.11)`, async (t) => {
      const { broker, writer } = await underAttack(t, version);
      const connection = await broker.next();
      connection.socket.write(Buffer.concat([broker.connack(), broker.publish(5, "one", 2), broker.publish(5, "other", 2)]));
      const pubrecs = (): number => connection.received.filter(({ cmd }) => cmd === "pubrec").length;
      await waitFor("a PUBREC each", () => pubrecs() === 2);
      connection.socket.write(broker.publish(5, "other", 2));
      await waitFor("and one for what is sent again", () => pubrecs() === 3);
      assert.deepEqual(
        writer.sent.map(({ value }) => value.toString()),
        ["one", "other"],
      );
    });

    test(`MQTT ${version}: random bytes and broken packets on ${CONNECTIONS} connections (seed ${seed}): it lives, within its bounds`, async (t) => {
      const attack = await underAttack(t, version);
      const { broker, ingress } = attack;
      const random = seededRandom(seed);
      const pick = (bound: number): number => Math.floor(random() * bound);
      for (let round = 0; round < CONNECTIONS; round++) {
        const connection = await broker.next();
        const sound = [
          ...(round % 5 === 0 ? [] : [broker.connack()]),
          ...Array.from({ length: 1 + pick(30) }, (_, i) => broker.publish(i + 1, SECRET, pick(2) === 0 ? 1 : 2)),
          hex("62 02 00 03"),
        ];
        const bytes = Buffer.concat(sound);
        for (let i = pick(12); i > 0; i--) bytes[(round % 3 === 0 ? 0 : 5) + pick(bytes.length - 5)] = pick(256);
        connection.socket.write(bytes.subarray(0, bytes.length - (round % 4 === 0 ? pick(bytes.length) : 0)));
        assert.ok(ingress.stats().inFlight <= 2 * WINDOW + 1);
        connection.socket.end();
        await waitFor("the connection is over", () => connection.closed, { intervalMs: 1 });
      }
      await works(attack, await broker.next());
      await waitFor("nothing is held", () => ingress.stats().inFlightBytes === 0);
    });
  }

  test("a packet of 256 MB that is announced and never comes holds nothing once the connection has timed out", async (t) => {
    const attack = await underAttack(t, 5);
    const connection = await attack.broker.next();
    const before = process.memoryUsage().arrayBuffers;
    connection.socket.write(Buffer.concat([attack.broker.connack(), hex("32 ff ff ff 7f"), telemetry, Buffer.alloc(1 << 20)]));
    await waitFor("the keepalive ends it", () => connection.closed, { deadlineMs: 5_000 });
    await works(attack, await attack.broker.next());
    assert.ok(process.memoryUsage().arrayBuffers - before < 32 << 20);
  });

  test("messages that keep coming are a sign of life, though PINGRESP stays away behind them", async (t) => {
    const { broker, writer } = await underAttack(t, 5);
    const connection = await broker.next();
    connection.socket.write(broker.connack());
    let sent = 0;
    const timer = setInterval(() => connection.socket.write(broker.publish(++sent, String(sent))), 100);
    t.after(() => clearInterval(timer));
    // Twice the time after which silence ends it (keepaliveS is 1).
    await waitFor("30 messages", () => writer.sent.length >= 30);
    assert.equal(broker.connections, 1);
    assert.ok(connection.received.filter(({ cmd }) => cmd === "pingreq").length >= 3, "the broker hears of the ingress too");
  });

  test("a broker that does not answer SUBSCRIBE is given up and asked again; one that sends messages first is waited for", async (t) => {
    const broker = await RawBroker.start(t, 5);
    const writer = new FakeWriter();
    writer.auto = true;
    const settings = { url: broker.url, connectTimeoutMs: 300, reconnectMinMs: 1, reconnectMaxMs: 4, stopTimeoutMs: 50 };
    const { logger, said } = recorder();
    const ingress = makeIngress(t, fakeLog(writer), settings, new Registry(), { logger });
    const started = ingress.start();
    const silent = await broker.next();
    silent.socket.write(broker.connack(0, false));
    await silent.until("subscribe");
    await waitFor("it is given up", () => silent.closed, { deadlineMs: 3_000 });
    const [{ err }] = said("ending the mqtt connection, so that the broker delivers again");
    assert.match((err as { message: string }).message, /not answered SUBSCRIBE/);

    const busy = await broker.next();
    busy.socket.write(broker.connack(0, false));
    const { messageId } = await busy.until("subscribe");
    let sent = 0;
    const timer = setInterval(() => busy.socket.write(broker.publish(++sent, String(sent))), 50);
    t.after(() => clearInterval(timer));
    await waitFor("messages for three times as long", () => writer.sent.length >= 18);
    busy.socket.write(broker.bytes({ cmd: "suback", messageId, granted: [1] }));
    await started;
    assert.equal(broker.connections, 2);
  });

  test("a broker that sends messages for ever and never answers SUBSCRIBE is given up as well", async (t) => {
    const broker = await RawBroker.start(t, 5);
    const writer = new FakeWriter();
    writer.auto = true;
    const settings = { url: broker.url, connectTimeoutMs: 300, reconnectMinMs: 1, reconnectMaxMs: 4, stopTimeoutMs: 50 };
    const { logger, said } = recorder();
    const ingress = makeIngress(t, fakeLog(writer), settings, new Registry(), { logger });
    ingress.start().catch(() => undefined); // ends while it still connects
    const busy = await broker.next();
    busy.socket.write(broker.connack(0, false));
    await busy.until("subscribe");
    let sent = 0;
    const timer = setInterval(() => busy.socket.write(broker.publish((sent++ % 1000) + 1, String(sent))), 5);
    t.after(() => clearInterval(timer));
    await waitFor("it is given up", () => busy.closed, { deadlineMs: 20_000 });
    const [{ err }] = said("ending the mqtt connection, so that the broker delivers again");
    assert.match((err as { message: string }).message, /not answered SUBSCRIBE/);
  });

  test("reconnects to a broker that talks nonsense back off", async (t) => {
    const broker = await RawBroker.start(t, 5);
    const ingress = makeIngress(t, fakeLog(new FakeWriter()), {
      url: broker.url,
      reconnectMinMs: 20,
      reconnectMaxMs: 320,
      stopTimeoutMs: 50,
    });
    ingress.start().catch(() => undefined); // ends while it still connects
    const at: number[] = [];
    for (let i = 0; i < 7; i++) {
      const connection = await broker.next();
      at.push(performance.now());
      connection.socket.write(Buffer.concat([broker.connack(), hex("36 02 00 00")]));
    }
    assert.ok(at[6] - at[5] > 150, `the sixth reconnect came after ${at[6] - at[5]} ms`);
  });
});
