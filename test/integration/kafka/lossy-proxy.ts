/** A TCP proxy before a broker on 127.0.0.1: it puts its own port into the brokers' answers, and loses answers on demand. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { TestContext } from "node:test";

export class LossyProxy {
  readonly address: string;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #loseApiKey: number | undefined;
  #losses = 0;
  #refusing = false;

  static async start(t: TestContext, broker: string): Promise<LossyProxy> {
    const targetPort = Number(broker.split(":")[1]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const proxy = new LossyProxy(`127.0.0.1:${port}`);
    server.on("connection", (client) => proxy.#serve(client, targetPort, port));
    t.after(() => {
      server.close();
      proxy.cut();
    });
    return proxy;
  }

  private constructor(address: string) {
    this.address = address;
  }

  /** Answers lost so far. */
  get losses(): number {
    return this.#losses;
  }

  /** The next request of this kind reaches the broker, and is carried out; its answer is dropped and the connection cut. */
  loseNextAnswerTo(apiKey: number): void {
    this.#loseApiKey = apiKey;
  }

  /** From now on every connection is cut, as if the client's machine were gone. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  accept(): void {
    this.#refusing = false;
  }

  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  #serve(client: Socket, targetPort: number, ownPort: number): void {
    if (this.#refusing) {
      client.on("error", () => undefined).destroy();
      return;
    }
    const broker = connect(targetPort, "127.0.0.1");
    const pair = [client, broker] as const;
    this.#pairs.add(pair);
    let losing = false;
    client.on("data", (chunk) => {
      // Requests go out in one piece, so that a chunk begins with one: length, api key, ...
      if (this.#loseApiKey !== undefined && chunk.length > 6 && chunk.readInt16BE(4) === this.#loseApiKey) {
        this.#loseApiKey = undefined;
        losing = true;
      }
      broker.write(chunk);
    });
    broker.on("data", (chunk) => {
      if (!losing) {
        client.write(withPort(chunk, targetPort, ownPort));
        return;
      }
      this.#losses++;
      for (const socket of pair) socket.destroy();
    });
    for (const socket of pair) {
      socket.on("error", () => undefined); // cut connections are what this is for
      socket.on("close", () => {
        this.#pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
  }
}

/** Host and port in Metadata and FindCoordinator answers: int16 length, text, int32 port. */
function withPort(chunk: Buffer, from: number, to: number): Buffer {
  const host = Buffer.from("\0\x09127.0.0.1\0\0\0\0");
  host.writeInt32BE(from, 11);
  const changed = Buffer.from(chunk);
  for (let at = changed.indexOf(host); at >= 0; at = changed.indexOf(host, at + 1)) changed.writeInt32BE(to, at + 11);
  return changed;
}
