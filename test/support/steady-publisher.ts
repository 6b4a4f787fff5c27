/** Numbered telemetry at an even pace, for as long as a test looks at something else. */
import type { MqttClient } from "mqtt";
import type { Cleanup } from "./cleanup.ts";

/** 200 messages a second. */
const INTERVAL_MS = 5;

export class SteadyPublisher {
  readonly #client: MqttClient;
  readonly #topic: string;
  readonly #timer: NodeJS.Timeout;
  readonly #pending = new Set<Promise<unknown>>();
  #failure: Error | undefined;
  /** The next `seq`. */
  #next = 0;

  /** Publishes `{"seq":n,"tempC":20}` from 0 on with QoS 1; the client is ended with the test. */
  static start(t: Cleanup, client: MqttClient, topic: string): SteadyPublisher {
    const publisher = new SteadyPublisher(client, topic);
    t.after(() => {
      clearInterval(publisher.#timer);
      return client.endAsync(true);
    });
    return publisher;
  }

  private constructor(client: MqttClient, topic: string) {
    this.#client = client;
    this.#topic = topic;
    this.#timer = setInterval(() => this.#publish(), INTERVAL_MS);
  }

  /** How many so far. */
  get sent(): number {
    return this.#next;
  }

  /** Resolves with the last `seq` when the broker has acknowledged all. Rejects when one was refused. */
  async stop(): Promise<number> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    if (this.#failure !== undefined) throw this.#failure;
    return this.#next - 1;
  }

  #publish(): void {
    const published = this.#client
      .publishAsync(this.#topic, JSON.stringify({ seq: this.#next++, tempC: 20 }), { qos: 1 })
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      })
      .finally(() => this.#pending.delete(published));
    this.#pending.add(published);
  }
}
