/** Many devices over few MQTT connections. A device stays on one connection, so its messages keep their order. */
import { randomUUID } from "node:crypto";
import { connectAsync, type MqttClient } from "mqtt";
import type { EventSink } from "./publisher.ts";
import { Room } from "./room.ts";
import type { SimulatedEvent } from "./simulated-event.ts";

export interface MqttSinkOptions {
  readonly url: string;
  readonly qos: 0 | 1 | 2;
  readonly username?: string;
  readonly password?: string;
  /** Default 4. */
  readonly connections?: number;
  /** Messages under way over all connections. Default 500; brokers take 20 to 1000 per connection at once. */
  readonly maxInFlight?: number;
  /** Until CONNACK. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** flush() gives up after so long without an acknowledgement of everything. Default 30,000. */
  readonly flushTimeoutMs?: number;
}

/** Rejects when the broker cannot be reached. Lost connections are made again, and what was not acknowledged is sent again (MQTT.js). */
export async function openMqttSink(options: MqttSinkOptions): Promise<EventSink> {
  const { url, qos, username, password, connections = 4, maxInFlight = 500, connectTimeoutMs = 10_000, flushTimeoutMs = 30_000 } = options;
  const prefix = `sluice-simulate-${randomUUID().slice(0, 8)}`;
  const opened = await Promise.allSettled(
    Array.from({ length: connections }, (_, index) =>
      connectAsync(url, {
        clientId: `${prefix}-${index}`,
        username,
        password,
        protocolVersion: 4,
        connectTimeout: connectTimeoutMs,
        reconnectPeriod: 500,
        timerVariant: "native",
      }),
    ),
  );
  const clients = opened.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const refused = opened.find((result) => result.status === "rejected");
  if (refused !== undefined) {
    await Promise.all(clients.map((client) => client.endAsync(true)));
    throw refused.reason instanceof Error ? refused.reason : new Error(String(refused.reason));
  }
  return new MqttSink(clients, qos, new Room(maxInFlight), flushTimeoutMs);
}

class MqttSink implements EventSink {
  readonly #clients: readonly MqttClient[];
  readonly #qos: 0 | 1 | 2;
  readonly #room: Room;
  readonly #flushTimeoutMs: number;
  readonly #connectionOf = new Map<string, MqttClient>();
  // MQTT.js says null where its types say undefined.
  readonly #acknowledged = (error?: Error | null): void => this.#room.leave(error ?? undefined);

  constructor(clients: readonly MqttClient[], qos: 0 | 1 | 2, room: Room, flushTimeoutMs: number) {
    this.#clients = clients;
    this.#qos = qos;
    this.#room = room;
    this.#flushTimeoutMs = flushTimeoutMs;
    // Connection trouble shows as missing acknowledgements; MQTT.js connects again by itself.
    for (const client of clients) client.on("error", () => undefined);
  }

  send(event: SimulatedEvent): Promise<void> | undefined {
    const full = this.#room.take();
    this.#client(event.topic).publish(event.topic, event.bytes, { qos: this.#qos }, this.#acknowledged);
    return full;
  }

  async flush(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`${this.#room.taken} messages were not acknowledged within ${this.#flushTimeoutMs} ms`));
      }, this.#flushTimeoutMs);
    });
    try {
      await Promise.race([this.#room.empty(), timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.endAsync(!client.connected || this.#room.taken > 0)));
  }

  #client(topic: string): MqttClient {
    const known = this.#connectionOf.get(topic);
    if (known !== undefined) return known;
    const client = this.#clients[this.#connectionOf.size % this.#clients.length];
    this.#connectionOf.set(topic, client);
    return client;
  }
}
