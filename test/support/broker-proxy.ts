/**
 * A TCP proxy before a broker on 127.0.0.1, for network faults. It rewrites nothing: the broker advertises the proxy's port on a
 * listener of its own (KafkaOptions.proxied), so that clients that begin here stay here.
 */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { Cleanup } from "./cleanup.ts";
import { RequestScanner } from "./request-scanner.ts";
import { ShapedPipe, straight, type Shape } from "./shaped-pipe.ts";

/** `up`: requests, to the broker. `down`: answers. */
export type Direction = "up" | "down";
/**
 * What happens to a request:
 * - `lose-answer`: the broker gets it and carries it out; the answer is dropped and the connection cut.
 * - `lose-request`: it is dropped and the connection cut.
 * - `half`: the broker gets half of it, then the connection is cut.
 */
export type RequestFault = "lose-answer" | "lose-request" | "half";

interface Pair {
  readonly client: Socket;
  readonly broker: Socket;
  readonly pipes: Readonly<Record<Direction, ShapedPipe>>;
}

export class BrokerProxy {
  readonly port: number;
  readonly #shapes: Readonly<Record<Direction, Shape>> = { up: straight(), down: straight() };
  readonly #pairs = new Set<Pair>();
  readonly #faults = new Map<number, { readonly fault: RequestFault; readonly once: boolean }>();
  readonly #requests = new Map<number, number>();
  #faultsDone = 0;
  #taken = 0;
  #dropped = 0;
  #refusing = false;
  #targetPort = 0;

  /** The target may be named later (forwardTo): a broker must know the proxy's port before it starts. */
  static async start(t: Cleanup, targetPort = 0): Promise<BrokerProxy> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const proxy = new BrokerProxy((server.address() as AddressInfo).port);
    proxy.forwardTo(targetPort);
    server.on("connection", (client) => proxy.#serve(client));
    t.after(() => {
      server.close();
      proxy.cut();
    });
    return proxy;
  }

  private constructor(port: number) {
    this.port = port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Connections since the start. */
  get taken(): number {
    return this.#taken;
  }

  /** Connections that the broker has ended, and not the client. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Request faults that have come to pass. */
  get faultsDone(): number {
    return this.#faultsDone;
  }

  /** Requests with this API key that have come by. */
  requestsOf(apiKey: number): number {
    return this.#requests.get(apiKey) ?? 0;
  }

  forwardTo(targetPort: number): void {
    this.#targetPort = targetPort;
  }

  /** Changes how bytes go on, of connections there are and of those to come. */
  shape(direction: Direction | "both", change: Partial<Shape>): void {
    for (const one of directions(direction)) Object.assign(this.#shapes[one], change);
    this.#pump();
  }

  /** Straight on again; what was held back goes on its way, and connections are taken. */
  calm(): void {
    this.#refusing = false;
    this.#faults.clear();
    this.shape("both", straight());
  }

  /** The next request with this API key has this happen to it. */
  failNext(apiKey: number, fault: RequestFault): void {
    this.#faults.set(apiKey, { fault, once: true });
  }

  /** Every request with this API key, until calm(). */
  failEvery(apiKey: number, fault: RequestFault): void {
    this.#faults.set(apiKey, { fault, once: false });
  }

  /** Every connection is reset (RST); new ones are taken. */
  cut(): void {
    for (const pair of this.#pairs) reset(pair);
  }

  /** From now on every connection is cut, as if the machine were gone. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  #serve(client: Socket): void {
    client.on("error", () => undefined); // cut connections are what this is for
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    this.#taken++;
    const broker = connect({ port: this.#targetPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    broker.on("error", () => undefined);
    client.setNoDelay(true);
    const pipes = { up: new ShapedPipe(client, broker, this.#shapes.up), down: new ShapedPipe(broker, client, this.#shapes.down) };
    const pair: Pair = { client, broker, pipes };
    this.#pairs.add(pair);
    const requests = new RequestScanner();
    let losing = false;
    client.on("data", (chunk) => {
      const apiKeys = requests.scan(chunk);
      for (const apiKey of apiKeys) this.#requests.set(apiKey, this.requestsOf(apiKey) + 1);
      const fault = this.#faultOf(apiKeys);
      if (fault === "lose-request" || fault === "half") {
        if (fault === "half") broker.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), () => reset(pair));
        else reset(pair);
        return;
      }
      losing ||= fault === "lose-answer";
      pipes.up.push(chunk);
    });
    broker.on("data", (chunk) => {
      if (losing) reset(pair);
      else pipes.down.push(chunk);
    });
    client.on("end", () => pipes.up.end());
    broker.on("end", () => {
      if (!client.readableEnded) this.#dropped++;
      pipes.down.end();
    });
    for (const socket of [client, broker]) socket.on("close", () => this.#closed(pair));
  }

  #faultOf(apiKeys: readonly number[]): RequestFault | undefined {
    for (const apiKey of apiKeys) {
      const planned = this.#faults.get(apiKey);
      if (planned === undefined) continue;
      if (planned.once) this.#faults.delete(apiKey);
      this.#faultsDone++;
      return planned.fault;
    }
    return undefined;
  }

  /** One side is gone: so is the other, unless nothing may be heard now. */
  #closed(pair: Pair): void {
    const [up, down] = [this.#shapes.up.stalled, this.#shapes.down.stalled];
    if (pair.client.destroyed && !up) pair.broker.destroy();
    if (pair.broker.destroyed && !down) pair.client.destroy();
    if (!pair.client.destroyed || !pair.broker.destroyed) return;
    for (const pipe of Object.values(pair.pipes)) pipe.stop();
    this.#pairs.delete(pair);
  }

  #pump(): void {
    for (const pair of this.#pairs) {
      for (const pipe of Object.values(pair.pipes)) pipe.pump();
      if (pair.client.destroyed || pair.broker.destroyed) this.#closed(pair);
    }
  }
}

function directions(direction: Direction | "both"): readonly Direction[] {
  return direction === "both" ? ["up", "down"] : [direction];
}

function reset({ client, broker }: Pair): void {
  client.resetAndDestroy();
  broker.resetAndDestroy();
}
