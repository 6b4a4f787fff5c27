/** The instruments of the bridge's fault matrix: what they count, and that devices lose nothing by themselves. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { generate, parser, type Packet } from "mqtt-packet";
import { DeviceLink } from "../../faults/bridge/device-link.ts";
import { PacketReader, publishPacket, readPublish } from "../../faults/bridge/packets.ts";
import { Tally } from "../../faults/bridge/tally.ts";
import { waitFor } from "../../support/wait-for.ts";

const record = (deviceId: string, seq: number): Buffer => Buffer.from(JSON.stringify({ deviceId, seq }));

test("a tally counts lost, doubled and reordered by device, and what is foreign", () => {
  const tally = new Tally();
  tally.expect({ name: "a", tenant: "t", qos: 1, devices: 2, perDevice: 5, rate: 1 });
  for (const seq of [0, 2, 1, 2, 3, 0]) tally.add(record("a-0", seq));
  for (const seq of [0, 1, 2, 3, 4]) tally.add(record("a-1", seq));
  for (const other of [record("a-2", 0), record("a-1", 5), record("b-0", 0), null]) tally.add(other);
  assert.deepEqual(tally.of("a"), { records: 11, distinct: 9, lost: 1, doubled: 2, reordered: 1 });
  assert.equal(tally.foreign, 4);
});

test("packets are found however their bytes are cut, and a PUBLISH reads back in both versions", () => {
  const long = "x".repeat(300);
  const bytes = Buffer.concat([publishPacket("t/a", long, 1, 258), Buffer.from([0xd0, 0]), publishPacket("t/b", "y", 2, 7)]);
  for (let size = 1; size < 20; size++) {
    const found: string[] = [];
    const reader = new PacketReader((head, body) => {
      if (head >> 4 !== 3) return void found.push(String(head));
      const { packetId, payload } = readPublish(body, 4);
      found.push(`${packetId} ${payload.toString()}`);
    });
    for (let at = 0; at < bytes.length; at += size) reader.feed(bytes.subarray(at, at + size));
    assert.deepEqual(found, [`258 ${long}`, "208", "7 y"]);
  }
  const five = generate(
    { cmd: "publish", topic: "t/a", payload: "z", qos: 1, messageId: 9, dup: false, retain: false, properties: { contentType: "text" } },
    { protocolVersion: 5 },
  );
  new PacketReader((_head, body) => {
    const { packetId, payload } = readPublish(body, 5);
    assert.deepEqual([packetId, payload.toString()], [9, "z"]);
  }).feed(five);
});

for (const sessionPresent of [true, false]) {
  test(`a device whose connection breaks sends what is not acknowledged again, in order and before anything new (session ${sessionPresent ? "kept" : "lost"})`, async (t) => {
    const received: Packet[][] = [];
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      const packets: Packet[] = [];
      received.push(packets);
      sockets.push(socket);
      const reader = parser({ protocolVersion: 4 });
      reader.on("packet", (packet: Packet) => {
        packets.push(packet);
        if (packet.cmd === "connect") socket.write(generate({ cmd: "connack", returnCode: 0, sessionPresent }));
      });
      socket.on("data", (chunk) => reader.parse(chunk));
      socket.on("error", () => undefined); // it is cut
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    let made = 0;
    let settled = 0;
    const link = new DeviceLink({
      port: (server.address() as AddressInfo).port,
      clientId: "d",
      qos: 2,
      window: 3,
      reconnectMs: 1,
      next: () => ({ topic: "t", payload: String(made++) }),
      settled: () => void settled++,
    });
    t.after(() => link.close());
    await waitFor("three messages, and CONNECT", () => received.at(0)?.length === 4);
    const answer = (packet: Packet): boolean => sockets[sockets.length - 1].write(generate(packet));
    answer({ cmd: "pubrec", messageId: 1 });
    answer({ cmd: "pubrec", messageId: 2 });
    answer({ cmd: "pubcomp", messageId: 1 });
    await waitFor("one is through", () => settled === 1);
    link.reset();
    const what = (packet: Packet): string =>
      packet.cmd === "publish" ? `publish ${String(packet.payload)}${packet.dup ? " again" : ""}` : packet.cmd;
    await waitFor("it is back", () => (received.at(1)?.length ?? 0) >= 4);
    link.pump();
    assert.deepEqual(
      received[1].slice(1).map(what),
      sessionPresent ? ["pubrel", "publish 2 again", "publish 3"] : ["publish 1", "publish 2", "publish 3"],
    );
  });
}
