/** What is known of the cluster: brokers, leaders, coordinators. One per KafkaLog, shared by its clients. */
import type { CoordinatorType } from "../requests/find-coordinator.ts";
import { LogError } from "../../errors.ts";
import type { TopicPartition } from "../../port.ts";
import { isTransient, NONE, protocolError, UNKNOWN_TOPIC_OR_PARTITION } from "../protocol-errors.ts";
import { findCoordinatorRequest } from "../requests/find-coordinator.ts";
import { metadataRequest, type MetadataResponse } from "../requests/metadata.ts";
import type { KafkaRequest } from "../wire/request.ts";
import { Connections } from "./connections.ts";
import type { Address, ConnectionSettings } from "./options.ts";

/** Answers metadata requests quickly or not at all: a slow broker must not hold up finding a better one. */
const METADATA_TIMEOUT_MS = 5_000;
export const NO_LEADER = -1;

/** Leaders by partition, or the code that the topic was answered with. */
type TopicState = { readonly leaders: readonly number[] } | { readonly errorCode: number };

export class Cluster {
  readonly #settings: ConnectionSettings;
  readonly #connections: Connections;
  /** Brokers by node id; the configured seeds have negative ids and stay. */
  readonly #addresses = new Map<number, Address>();
  readonly #topics = new Map<string, TopicState>();
  readonly #coordinators = new Map<string, number>();
  #controllerId = NO_LEADER;
  #wanted = new Set<string>();
  #next: Promise<void> | undefined;
  #rotation = 0;

  constructor(seeds: readonly Address[], settings: ConnectionSettings) {
    this.#settings = settings;
    for (const [index, address] of seeds.entries()) this.#addresses.set(-1 - index, address);
    this.#connections = this.connect();
  }

  /** A new client's own connections. */
  connect(): Connections {
    return new Connections(this.#settings, (nodeId) => this.#addresses.get(nodeId));
  }

  /** Node ids of the brokers known; refreshed by every metadata answer. */
  async nodeIds(): Promise<number[]> {
    await this.refresh([]);
    return [...this.#addresses.keys()].filter((nodeId) => nodeId >= 0);
  }

  async controllerId(): Promise<number> {
    await this.refresh([]);
    if (this.#controllerId < 0) throw new LogError("unavailable", "the cluster has no controller");
    return this.#controllerId;
  }

  /** NO_LEADER when the partition has none now. Rejects with `unknown-topic` (also for a partition out of range), `unauthorized`, `unavailable`. */
  async leader({ topic, partition }: TopicPartition): Promise<number> {
    const leaders = await this.#leaders(topic);
    if (partition >= leaders.length)
      throw new LogError("unknown-topic", `${topic} has no partition ${partition}`, { partitions: [{ topic, partition }] });
    return leaders[partition];
  }

  /** The leader if it is known already. */
  cachedLeader({ topic, partition }: TopicPartition): number | undefined {
    const state = this.#topics.get(topic);
    return state !== undefined && "leaders" in state ? state.leaders[partition] : undefined;
  }

  async partitionCount(topic: string): Promise<number> {
    return (await this.#leaders(topic)).length;
  }

  /** Asked of a broker each time: for callers that must know whether a topic exists now. Undefined when it does not. */
  async freshPartitionCount(topic: string): Promise<number | undefined> {
    await this.refresh([topic]);
    const state = this.#topics.get(topic);
    if (state === undefined || ("errorCode" in state && state.errorCode === UNKNOWN_TOPIC_OR_PARTITION)) return undefined;
    return this.partitionCount(topic);
  }

  /** The next question about these topics asks a broker. */
  forget(topics: Iterable<string>): void {
    for (const topic of topics) this.#topics.delete(topic);
  }

  /** Refreshes brokers and these topics; calls of the same tick share one request. */
  refresh(topics: Iterable<string>): Promise<void> {
    for (const topic of topics) this.#wanted.add(topic);
    this.#next ??= Promise.resolve().then(async () => {
      const wanted = [...this.#wanted];
      this.#wanted = new Set();
      this.#next = undefined;
      this.#learn(await this.#askAny(metadataRequest(wanted)), wanted);
    });
    return this.#next;
  }

  /** Node id; cached until forgetCoordinator. Rejects with `unavailable` while there is none. */
  async coordinator(type: CoordinatorType, key: string): Promise<number> {
    const id = `${type}:${key}`;
    const known = this.#coordinators.get(id);
    if (known !== undefined) return known;
    const answer = await this.#askAny(findCoordinatorRequest(type, key));
    if (answer.errorCode !== NONE) throw protocolError(answer.errorCode, `finding the coordinator of ${type} ${key}`);
    this.#addresses.set(answer.nodeId, { host: answer.host, port: answer.port });
    this.#coordinators.set(id, answer.nodeId);
    return answer.nodeId;
  }

  forgetCoordinator(type: CoordinatorType, key: string): void {
    this.#coordinators.delete(`${type}:${key}`);
  }

  async close(): Promise<void> {
    await this.#connections.close();
  }

  async #leaders(topic: string): Promise<readonly number[]> {
    if (!this.#topics.has(topic)) await this.refresh([topic]);
    const state = this.#topics.get(topic);
    if (state !== undefined && "leaders" in state) return state.leaders;
    this.#topics.delete(topic);
    if (state === undefined) throw new LogError("unavailable", `no metadata of ${topic}`);
    throw protocolError(state.errorCode, `metadata of ${topic}`, [{ topic, partition: 0 }]);
  }

  #learn(metadata: MetadataResponse, wanted: readonly string[]): void {
    for (const { nodeId, host, port } of metadata.brokers) this.#addresses.set(nodeId, { host, port });
    const alive = new Set(metadata.brokers.map(({ nodeId }) => nodeId));
    if (alive.size > 0) for (const nodeId of this.#addresses.keys()) if (nodeId >= 0 && !alive.has(nodeId)) this.#addresses.delete(nodeId);
    this.#controllerId = metadata.controllerId;
    for (const topic of wanted) this.#topics.delete(topic);
    for (const { topic, errorCode, partitions } of metadata.topics) {
      if (errorCode !== NONE && !isTransient(errorCode)) {
        this.#topics.set(topic, { errorCode });
        continue;
      }
      const leaders = new Array<number>(partitions.length).fill(NO_LEADER);
      for (const { partition, leader } of partitions) leaders[partition] = leader;
      if (leaders.length > 0) this.#topics.set(topic, { leaders });
    }
  }

  /** Asks the brokers one after the other, known ones before seeds, until one answers. */
  async #askAny<Response>(request: KafkaRequest<Response>): Promise<Response> {
    const known = [...this.#addresses.keys()].filter((nodeId) => nodeId >= 0);
    const seeds = [...this.#addresses.keys()].filter((nodeId) => nodeId < 0);
    const first = known.length === 0 ? 0 : this.#rotation++ % known.length;
    let failure: unknown;
    for (const nodeId of [...known.slice(first), ...known.slice(0, first), ...seeds]) {
      try {
        return await this.#connections.send(nodeId, request, METADATA_TIMEOUT_MS);
      } catch (error) {
        if (!(error instanceof LogError) || error.action !== "retriable") throw error;
        failure = error;
      }
    }
    throw new LogError("unavailable", `no broker answers: ${failure instanceof Error ? failure.message : "none is configured"}`, {
      cause: failure,
    });
  }
}
