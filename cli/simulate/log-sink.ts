/** Straight into the raw topic, as the ingress would write it: for tests and benchmarks of what comes after. */
import { RawHeaders } from "../../bridge/raw-headers.ts";
import { RouteCache } from "../../bridge/route-cache.ts";
import type { EventLog, PlainWriter } from "../../eventlog/port.ts";
import type { EventSink } from "./publisher.ts";
import { Room } from "./room.ts";
import type { SimulatedEvent } from "./simulated-event.ts";

/** Records under way: many batches' worth, a few MB. */
const MAX_IN_FLIGHT = 20_000;
const MAX_CACHED_TOPICS = 100_000;

/** The log is not closed by the sink. Record timestamps are the events' `sendAtMs`. */
export async function openLogSink(log: EventLog, rawTopic: string): Promise<EventSink> {
  const partitions = await log.partitionCount(rawTopic);
  return new LogSink(
    log.plainWriter({}),
    new RouteCache({ raw: rawTopic, rawPartitions: partitions, dlq: rawTopic, dlqPartitions: partitions }, MAX_CACHED_TOPICS),
  );
}

class LogSink implements EventSink {
  readonly #writer: PlainWriter;
  readonly #routes: RouteCache;
  readonly #headers = new RawHeaders("simulate");
  readonly #room = new Room(MAX_IN_FLIGHT);
  readonly #done = (error: Error | undefined): void => this.#room.leave(error);

  constructor(writer: PlainWriter, routes: RouteCache) {
    this.#writer = writer;
    this.#routes = routes;
  }

  send(event: SimulatedEvent): Promise<void> | undefined {
    const route = this.#routes.route(event.topic);
    const receivedTs = Math.floor(event.sendAtMs);
    const full = this.#room.take();
    const headers = this.#headers.of(route.topicHeader, 1, false, false, undefined, receivedTs);
    this.#writer.send(route.target, route.key, event.bytes, headers, receivedTs, this.#done);
    return full;
  }

  async flush(): Promise<void> {
    await this.#writer.flush();
    await this.#room.empty();
  }

  close(): Promise<void> {
    return this.#writer.close();
  }
}
