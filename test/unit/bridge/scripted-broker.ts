/** A broker that the test plays by hand, packet by packet. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { generate, parser, type Packet } from "mqtt-packet";
import type { Cleanup } from "../../support/cleanup.ts";
import { waitFor } from "../../support/wait-for.ts";

export class ScriptedConnection {
  readonly received: Packet[] = [];
  readonly socket: Socket;
  readonly #version: 4 | 5;
  closed = false;
  /** SUBACK's answer; default: the QoS asked for. */
  grants: number | undefined;

  constructor(socket: Socket, version: 4 | 5) {
    this.socket = socket;
    this.#version = version;
    const packets = parser({ protocolVersion: version });
    packets.on("packet", (packet: Packet) => {
      this.received.push(packet);
      // What a test is not about: pings and subscriptions get their answers.
      if (packet.cmd === "pingreq") this.send({ cmd: "pingresp" });
      if (packet.cmd === "subscribe") {
        const granted = packet.subscriptions.map(({ qos }) => this.grants ?? qos);
        this.send({ cmd: "suback", messageId: packet.messageId, granted });
      }
      if (packet.cmd === "unsubscribe")
        this.send({ cmd: "unsuback", messageId: packet.messageId, granted: packet.unsubscriptions.map(() => 0) });
    });
    socket.on("data", (chunk) => packets.parse(chunk));
    socket.on("close", () => (this.closed = true));
    socket.on("error", () => undefined);
  }

  /** All in one TCP write, as a broker does that has messages waiting. */
  send(...packets: Packet[]): void {
    this.socket.write(Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: this.#version }))));
  }

  connack(sessionPresent: boolean): Packet {
    return this.#version === 5 ? { cmd: "connack", reasonCode: 0, sessionPresent } : { cmd: "connack", returnCode: 0, sessionPresent };
  }

  publish(messageId: number, qos: 0 | 1 | 2, payload = `{"seq":${messageId}}`, dup = false): Packet {
    return { cmd: "publish", topic: "t/demo/d/a/telemetry", qos, dup, retain: false, messageId, payload };
  }

  /** Names and ids of the acknowledgements that came, e.g. `puback 7`. */
  get acks(): string[] {
    return this.received
      .filter(({ cmd }) => cmd === "puback" || cmd === "pubrec" || cmd === "pubcomp")
      .map((packet) => `${packet.cmd} ${packet.messageId ?? 0}`);
  }

  async expect(cmd: Packet["cmd"]): Promise<Packet> {
    return waitFor(`a ${cmd} from the ingress`, () => this.received.find((packet) => packet.cmd === cmd));
  }
}

export class ScriptedBroker {
  readonly connections: ScriptedConnection[] = [];
  readonly url: string;

  private constructor(port: number) {
    this.url = `mqtt://127.0.0.1:${port}`;
  }

  static async start(t: Cleanup, version: 4 | 5): Promise<ScriptedBroker> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const broker = new ScriptedBroker((server.address() as AddressInfo).port);
    server.on("connection", (socket) => broker.connections.push(new ScriptedConnection(socket, version)));
    t.after(() => {
      for (const { socket } of broker.connections) socket.destroy();
      server.close();
    });
    return broker;
  }

  /** The nth connection (from 0), once its CONNECT is in. */
  async connection(index: number): Promise<ScriptedConnection> {
    const connection = await waitFor(`connection ${index}`, () => this.connections[index]);
    await connection.expect("connect");
    return connection;
  }
}
