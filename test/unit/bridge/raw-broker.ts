/** A broker that says any bytes the test wants, on one connection after the other. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { generate, parser, type Packet } from "mqtt-packet";
import type { Cleanup } from "../../support/cleanup.ts";
import { waitFor } from "../../support/wait-for.ts";

export type Version = 4 | 5;

export class RawConnection {
  readonly socket: Socket;
  readonly received: Packet[] = [];
  closed = false;

  constructor(socket: Socket, version: Version) {
    this.socket = socket;
    const packets = parser({ protocolVersion: version });
    packets.on("packet", (packet: Packet) => this.received.push(packet));
    packets.on("error", () => undefined);
    socket.on("data", (chunk) => packets.parse(chunk));
    socket.on("close", () => (this.closed = true));
    socket.on("error", () => undefined);
  }

  async until(cmd: Packet["cmd"]): Promise<Packet> {
    return waitFor(`a ${cmd} from the ingress`, () => this.received.find((packet) => packet.cmd === cmd), { intervalMs: 1 });
  }
}

export class RawBroker {
  readonly version: Version;
  readonly url: string;
  readonly #waiting: RawConnection[] = [];
  connections = 0;

  static async start(t: Cleanup, version: Version): Promise<RawBroker> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const broker = new RawBroker((server.address() as AddressInfo).port, version);
    const sockets = new Set<Socket>();
    server.on("connection", (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      broker.connections++;
      broker.#waiting.push(new RawConnection(socket, version));
    });
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return broker;
  }

  private constructor(port: number, version: Version) {
    this.url = `mqtt://127.0.0.1:${port}`;
    this.version = version;
  }

  /** The next connection, once its CONNECT is in. */
  async next(): Promise<RawConnection> {
    const connection = await waitFor("the ingress connects", () => this.#waiting.shift(), { intervalMs: 1 });
    await connection.until("connect");
    return connection;
  }

  bytes(packet: Packet): Buffer {
    return generate(packet, { protocolVersion: this.version });
  }

  connack(code = 0, sessionPresent = true): Buffer {
    return this.bytes(
      this.version === 5 ? { cmd: "connack", reasonCode: code, sessionPresent } : { cmd: "connack", returnCode: code, sessionPresent },
    );
  }

  publish(messageId: number, payload: string, qos: 1 | 2 = 1): Buffer {
    return this.bytes({ cmd: "publish", topic: "t/demo/d/a/telemetry", qos, dup: false, retain: false, messageId, payload });
  }
}
