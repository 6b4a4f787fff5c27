/**
 * An MQTT 3.1.1 broker in this process (aedes), for the demo and tests: loopback only, sessions in memory, so a restart
 * forgets what waited for an absent ingress. A real installation has a real broker.
 */
import { createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { Aedes } from "aedes";
import { BridgeError } from "./errors.ts";

export interface EmbeddedBroker {
  /** `mqtt://host:port`, with the port that was given out when 0 was asked for. */
  readonly url: string;
  close(): Promise<void>;
}

/** Clients at once; a demo has a handful. */
const MAX_CLIENTS = 1000;
/** Messages aedes handles at once over all clients. */
const CONCURRENCY = 1000;
/** Messages waiting for a subscriber's connection. */
const QUEUE_LIMIT = 10_000;
const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "localhost"]);

/** Rejects with `bad-settings` for a host that is not loopback (the broker knows no passwords), or the socket's error. */
export async function startEmbeddedBroker({ host, port }: { host: string; port: number }): Promise<EmbeddedBroker> {
  if (!LOOPBACK_HOSTS.has(host)) throw new BridgeError("bad-settings", `the embedded broker listens on loopback only, not on ${host}`);
  const broker = await Aedes.createBroker({ concurrency: CONCURRENCY, queueLimit: QUEUE_LIMIT });
  const server = createServer((socket) => {
    broker.handle(socket);
  });
  server.maxConnections = MAX_CLIENTS;
  const sockets = trackSockets(server);
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    await closeBroker(broker);
    throw error;
  }
  const address = server.address();
  const boundPort = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `mqtt://${host === "::1" ? "[::1]" : host}:${boundPort}`,
    async close() {
      const closed = once(server, "close");
      server.close();
      await closeBroker(broker);
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function closeBroker(broker: Aedes): Promise<void> {
  return new Promise((resolve) => broker.close(resolve));
}

function trackSockets(server: Server): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return sockets;
}
