/**
 * A proxy before the MQTT broker that listens in on the bridge's connection: which messages the broker gave it, and which of these it
 * acknowledged. A message that the bridge never acknowledged is not its to lose.
 */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { Cleanup } from "../../support/cleanup.ts";
import { PacketReader, TYPE, readPublish } from "./packets.ts";
import { identityOf, type Identity } from "./tally.ts";

const QOS_BITS = 6;

export class MqttTap {
  readonly port: number;
  readonly #version: 4 | 5;
  readonly #acknowledged: Identity[] = [];

  static async start(t: Cleanup, targetPort: number, version: 4 | 5): Promise<MqttTap> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const tap = new MqttTap((server.address() as AddressInfo).port, version);
    const sockets = new Set<Socket>();
    server.on("connection", (client) => {
      const broker = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
      sockets.add(client);
      tap.#listen(client, broker);
    });
    t.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    return tap;
  }

  private constructor(port: number, version: 4 | 5) {
    this.port = port;
    this.#version = version;
  }

  /** Messages of a load that the bridge acknowledged and that are nowhere. */
  lostOf(load: string, isThere: (identity: Identity) => boolean): number {
    const lost = this.#acknowledged.filter((identity) => identity.load === load && !isThere(identity));
    return new Set(lost.map(({ device, seq }) => `${device}/${seq}`)).size;
  }

  #listen(client: Socket, broker: Socket): void {
    // Of each id all that wait, in order: Mosquitto 2.0.11 has several messages outstanding under one.
    const open = new Map<number, (Identity | undefined)[]>();
    const down = new PacketReader((head, body) => {
      if (head >> 4 !== TYPE.publish || (head & QOS_BITS) === 0) return;
      const { packetId, payload } = readPublish(body, this.#version);
      const waiting = open.get(packetId);
      if (waiting === undefined) open.set(packetId, [identityOf(payload)]);
      else waiting.push(identityOf(payload));
    });
    const up = new PacketReader((head, body) => {
      if (head >> 4 !== TYPE.puback && head >> 4 !== TYPE.pubrec) return;
      const identity = open.get(body.readUInt16BE(0))?.shift();
      if (identity !== undefined) this.#acknowledged.push(identity);
    });
    for (const [from, to, packets] of [
      [client, broker, up],
      [broker, client, down],
    ] as const) {
      from.setNoDelay(true);
      from.on("data", (chunk) => {
        packets.feed(chunk);
        to.write(chunk);
      });
      from.on("error", () => undefined); // closes behind it
      from.once("close", () => to.destroy());
    }
  }
}
