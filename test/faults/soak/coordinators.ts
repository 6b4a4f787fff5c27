/** Which broker coordinates an application's group, or its first worker's transactions, or leads a partition. */
import { pino } from "pino";
import { Cluster, NO_LEADER } from "../../../eventlog/kafka/connection/cluster.ts";
import { connectionSettings, parseAddress } from "../../../eventlog/kafka/connection/options.ts";
import type { CoordinatorType } from "../../../eventlog/kafka/requests/find-coordinator.ts";
import type { Cleanup } from "../../support/cleanup.ts";
import { waitFor } from "../../support/wait-for.ts";

/** A coordinator's successor is elected within seconds. */
const FOUND_WITHIN_MS = 30_000;

export class Coordinators {
  readonly #cluster: Cluster;
  readonly #group: string;
  #last: number | undefined;
  /** Times the group had another coordinator than at the look before. */
  moves = 0;

  constructor(t: Cleanup, brokers: readonly string[], group: string) {
    const options = { brokers, clientId: "soak-coordinators", logger: pino({ level: "silent" }), requestTimeoutMs: 3_000 };
    this.#cluster = new Cluster(brokers.map(parseAddress), connectionSettings(options));
    t.after(() => this.#cluster.close());
    this.#group = group;
  }

  /** The broker's 0-based number. */
  async find(type: CoordinatorType): Promise<number> {
    const key = type === "group" ? this.#group : `${this.#group}/w1`;
    const nodeId = await waitFor(`${key} has a ${type} coordinator`, () => this.#ask(type, key), { deadlineMs: FOUND_WITHIN_MS });
    return nodeId - 1;
  }

  /** Of the topic's first partition; the broker's 0-based number. */
  async leaderOf(topic: string): Promise<number> {
    const nodeId = await waitFor(
      `${topic}/0 has a leader`,
      async () => {
        this.#cluster.forget([topic]);
        const leader = await this.#cluster.leader({ topic, partition: 0 });
        return leader === NO_LEADER ? undefined : leader;
      },
      { deadlineMs: FOUND_WITHIN_MS },
    );
    return nodeId - 1;
  }

  async count(): Promise<void> {
    const now = await this.find("group");
    if (this.#last !== undefined && this.#last !== now) this.moves++;
    this.#last = now;
  }

  #ask(type: CoordinatorType, key: string): Promise<number> {
    this.#cluster.forgetCoordinator(type, key);
    return this.#cluster.coordinator(type, key);
  }
}
