import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { generate, type IPublishPacket, type Packet } from "mqtt-packet";
import { BridgeError } from "../../../../bridge/errors.ts";
import { PacketReader, type PacketSink } from "../../../../bridge/wire/packet-reader.ts";
import type { PublishPacket } from "../../../../bridge/wire/publish-packet.ts";

/** What came, as text that compares; `refuse` says how often publish() has no room before it takes. */
class Recorder implements PacketSink {
  readonly seen: string[] = [];
  #refuse: number[];

  constructor(refuse: number[] = []) {
    this.#refuse = [...refuse];
  }

  connack(accepted: boolean, sessionPresent: boolean): void {
    this.seen.push(`connack ${accepted} ${sessionPresent}`);
  }

  publish(packet: PublishPacket): boolean {
    const left = this.#refuse.shift() ?? 0;
    if (left > 0) {
      this.#refuse.unshift(left - 1);
      return false;
    }
    this.seen.push(textOf(packet));
    return true;
  }

  pubrel(messageId: number): void {
    this.seen.push(`pubrel ${messageId}`);
  }

  other(packet: Buffer): void {
    this.seen.push(`other ${packet.toString("hex")}`);
  }
}

function textOf(packet: PublishPacket): string {
  const topic = Buffer.from(packet.topicBuffer.subarray(packet.topicStart, packet.topicEnd)).toString();
  const payload = packet.buffer.toString("hex", packet.payloadStart, packet.payloadEnd);
  const { qos, dup, retain, messageId, contentType, messageExpiryS, userProperties } = packet;
  return JSON.stringify({
    topic,
    payload,
    qos,
    dup,
    retain,
    messageId,
    contentType,
    messageExpiryS,
    correlation: packet.correlation?.toString("hex"),
    userProperties,
  });
}

function connectedReader(sink: PacketSink, version: number, maxTopicAlias?: number): PacketReader {
  const reader = new PacketReader(sink, version, maxTopicAlias);
  const connack: Packet =
    version === 5 ? { cmd: "connack", reasonCode: 0, sessionPresent: true } : { cmd: "connack", returnCode: 0, sessionPresent: true };
  reader.push(generate(connack, { protocolVersion: version }));
  if (sink instanceof Recorder) sink.seen.splice(0);
  return reader;
}

/** Feeds the bytes in pieces and resumes as long as it must. */
function feed(reader: PacketReader, bytes: Buffer, cuts: readonly number[]): void {
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    const to = Math.min(cut, bytes.length);
    let goesOn = reader.push(bytes.subarray(from, to));
    while (!goesOn) goesOn = reader.resume();
    from = to;
  }
  let goesOn = reader.push(bytes.subarray(from));
  while (!goesOn) goesOn = reader.resume();
}

const words = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" }).filter((text) => !/[#+\u0000]/.test(text));

function publishes(version: number): fc.Arbitrary<IPublishPacket> {
  return fc
    .record({
      topic: fc.array(words, { minLength: 1, maxLength: 6 }).map((levels) => levels.join("/")),
      payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      qos: fc.constantFrom(0, 1, 2),
      dup: fc.boolean(),
      retain: fc.boolean(),
      messageId: fc.integer({ min: 1, max: 65_535 }),
      properties: fc.record(
        {
          contentType: words,
          messageExpiryInterval: fc.nat({ max: 0xffff_ffff }),
          correlationData: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
          responseTopic: words,
          payloadFormatIndicator: fc.boolean(),
          userProperties: fc.dictionary(words, words, { minKeys: 1, maxKeys: 4, noNullPrototype: true }),
        },
        { requiredKeys: [] },
      ),
    })
    .map(({ properties, dup, ...fields }) => ({
      cmd: "publish" as const,
      ...fields,
      dup: dup && fields.qos > 0,
      ...(version === 5 ? { properties } : {}),
    }));
}

function expectedOf({ topic, payload, qos, dup, retain, messageId, properties }: IPublishPacket): string {
  const { contentType, messageExpiryInterval, correlationData, userProperties = {} } = properties ?? {};
  return JSON.stringify({
    topic,
    payload: Buffer.from(payload).toString("hex"),
    qos,
    dup,
    retain,
    messageId: qos > 0 ? messageId : 0,
    contentType,
    messageExpiryS: messageExpiryInterval,
    correlation: correlationData?.toString("hex"),
    userProperties: Object.entries(userProperties).map(([name, value]) => ({ name, value })),
  });
}

for (const version of [4, 5]) {
  test(`version ${version}: any packets, cut anywhere and refused any number of times, come once each and in order`, () => {
    const others = fc.constantFrom<Packet>(
      { cmd: "pingresp" },
      { cmd: "suback", messageId: 7, granted: [1] },
      { cmd: "pubrel", messageId: 513 },
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 4, arbitrary: publishes(version) }, { weight: 1, arbitrary: others }), { maxLength: 12 }),
        fc.array(fc.nat(4_000), { maxLength: 8 }),
        fc.array(fc.nat(2), { maxLength: 6 }),
        (packets, cuts, refuse) => {
          const encoded = packets.map((packet) => generate(packet, { protocolVersion: version }));
          const recorder = new Recorder(refuse);
          feed(connectedReader(recorder, version), Buffer.concat(encoded), cuts);
          const expected = packets.map((packet, at) => {
            if (packet.cmd === "publish") return expectedOf(packet);
            return packet.cmd === "pubrel" ? "pubrel 513" : `other ${encoded[at].toString("hex")}`;
          });
          assert.deepEqual(recorder.seen, expected);
        },
      ),
      { numRuns: 300 },
    );
  });

  test(`version ${version}: any bytes at all are read to an end, or refused as malformed`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400), { maxLength: 4 }), (bytes, cuts) => {
        const reader = connectedReader(new Recorder(), version, 3);
        try {
          feed(reader, Buffer.from(bytes), cuts);
        } catch (error) {
          assert.ok(error instanceof BridgeError && error.code === "malformed-packet", String(error));
        }
        assert.ok(reader.waitingBytes <= bytes.length);
      }),
      { numRuns: 2_000 },
    );
  });
}

test("a CONNACK is told before MQTT.js gets it, with outcome and session", () => {
  const recorder = new Recorder();
  const reader = new PacketReader(recorder, 5);
  reader.push(generate({ cmd: "connack", reasonCode: 0, sessionPresent: true }, { protocolVersion: 5 }));
  reader.push(generate({ cmd: "connack", reasonCode: 0x87, sessionPresent: false }, { protocolVersion: 5 }));
  assert.deepEqual(
    recorder.seen.filter((text) => !text.startsWith("other")),
    ["connack true true", "connack false false"],
  );
  assert.equal(recorder.seen.length, 4);
});

test("nothing comes before a CONNACK", () => {
  const publish = generate({ cmd: "publish", topic: "a", payload: "", qos: 0, dup: false, retain: false });
  assert.throws(() => new PacketReader(new Recorder(), 4).push(publish), { code: "malformed-packet" });
});

test("a topic alias stands for its topic on this connection, and one that was not allowed or not given is refused", () => {
  const recorder = new Recorder();
  const reader = connectedReader(recorder, 5, 2);
  const publish = (topic: string, topicAlias: number): Buffer =>
    generate(
      { cmd: "publish", topic, payload: "x", qos: 0, dup: false, retain: false, properties: { topicAlias } },
      { protocolVersion: 5 },
    );
  reader.push(publish("t/a/d/1/telemetry", 2));
  reader.push(publish("", 2));
  reader.push(publish("t/a/d/2/telemetry", 2));
  reader.push(publish("", 2));
  assert.deepEqual(
    recorder.seen.map((text) => (JSON.parse(text) as { topic: string }).topic),
    ["t/a/d/1/telemetry", "t/a/d/1/telemetry", "t/a/d/2/telemetry", "t/a/d/2/telemetry"],
  );
  for (const alias of [1, 3]) assert.throws(() => connectedReader(recorder, 5, 2).push(publish("", alias)), { code: "malformed-packet" });
});

test("a stopped reader reads nothing more, in the middle of a chunk too", () => {
  const seen: number[] = [];
  const sink = Object.assign(new Recorder(), {
    publish: ({ messageId }: PublishPacket) => {
      seen.push(messageId);
      if (messageId === 2) reader.stop();
      return true;
    },
  });
  const reader = connectedReader(sink, 4);
  const packets = [1, 2, 3].map((messageId) =>
    generate({ cmd: "publish", topic: "a", payload: "", qos: 1, dup: false, retain: false, messageId }, { protocolVersion: 4 }),
  );
  assert.equal(reader.push(Buffer.concat(packets)), true);
  assert.deepEqual(seen, [1, 2]);
  assert.equal(reader.waitingBytes, 0);
});

test("user properties of a message are bounded in number and in bytes", () => {
  const kept: number[] = [];
  const sink = Object.assign(new Recorder(), {
    publish: ({ userProperties, propertyBytes }: PublishPacket) => {
      kept.push(userProperties.length);
      assert.ok(propertyBytes > 1_000);
      return true;
    },
  });
  const send = (userProperties: Record<string, string>): void => {
    const packet: Packet = { cmd: "publish", topic: "a", payload: "", qos: 0, dup: false, retain: false, properties: { userProperties } };
    connectedReader(sink, 5).push(generate(packet, { protocolVersion: 5 }));
  };
  send(Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`n${n}`, "v"])));
  send({ small: "v", large: "x".repeat(5_000), next: "v" });
  assert.deepEqual(kept, [32, 1]);
});
