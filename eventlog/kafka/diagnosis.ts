/** What a cluster says of itself and of the principal that asks; reads only. For `sluice doctor`. */
import type { Connections } from "./connection/connections.ts";
import { Cluster } from "./connection/cluster.ts";
import { CoordinatorClient } from "./connection/coordinator-client.ts";
import { connectionSettings, parseAddress, type KafkaLogOptions } from "./connection/options.ts";
import { retrying } from "./connection/retry.ts";
import { NONE, protocolError } from "./protocol-errors.ts";
import { apiVersionsRequest, type ApiRange } from "./requests/api-versions.ts";
import { describeGroupRequest } from "./requests/describe-group.ts";
import { describeQuorumRequest } from "./requests/describe-quorum.ts";
import { topicDetailsRequest, type ClusterDetails } from "./requests/topic-details.ts";

/** Kafka's numbers of operations (AclOperation), which are the bits of authorized operations. */
export const OPERATION_BITS = { Read: 3, Write: 4, Create: 5, Delete: 6, Describe: 8, DescribeConfigs: 10 } as const;

/** The first question for a group makes a new cluster's offsets topic. ms. */
const COORDINATOR_WITHIN_MS = 8_000;

/** Requests that not every supported broker has had for ever, by Kafka's number, and the version that is sent. Kafka 3.0 has them all. */
const NEEDED: readonly { readonly name: string; readonly apiKey: number; readonly version: number }[] = [
  { name: "Produce", apiKey: 0, version: 7 },
  { name: "Fetch", apiKey: 1, version: 11 },
  { name: "ListOffsets", apiKey: 2, version: 5 },
  { name: "OffsetFetch", apiKey: 9, version: 7 },
  { name: "JoinGroup", apiKey: 11, version: 5 },
  { name: "InitProducerId", apiKey: 22, version: 4 },
  { name: "TxnOffsetCommit", apiKey: 28, version: 3 },
  { name: "ListTransactions", apiKey: 66, version: 0 },
];

export class KafkaDiagnosis {
  readonly #cluster: Cluster;
  readonly #connections: Connections;

  constructor(options: KafkaLogOptions) {
    this.#cluster = new Cluster(options.brokers.map(parseAddress), connectionSettings(options));
    this.#connections = this.#cluster.connect();
  }

  /** Rejects with `unavailable` or `unauthorized` when no configured broker lets us in. */
  async nodeIds(): Promise<readonly number[]> {
    return this.#cluster.nodeIds();
  }

  /** Names of requests that this broker does not take as they are sent. */
  async missingRequests(nodeId: number): Promise<readonly string[]> {
    const ranges = await this.#connections.send(nodeId, apiVersionsRequest());
    const has = ({ apiKey, version }: (typeof NEEDED)[number]): boolean =>
      ranges.some((range: ApiRange) => range.apiKey === apiKey && range.min <= version && version <= range.max);
    return NEEDED.filter((needed) => !has(needed)).map(({ name, version }) => `${name} v${version}`);
  }

  async details(topics: readonly string[]): Promise<ClusterDetails> {
    const [nodeId] = await this.#cluster.nodeIds();
    return this.#connections.send(nodeId, topicDetailsRequest(topics));
  }

  /** Bits of operations on the group. */
  async groupOperations(groupId: string): Promise<number> {
    const coordinator = new CoordinatorClient(this.#cluster, this.#connections, "group", groupId);
    const { errorCode, authorizedOperations } = await retrying({ withinMs: COORDINATOR_WITHIN_MS }, () =>
      coordinator.send(describeGroupRequest(groupId, true), (group) => group.errorCode),
    );
    if (errorCode !== NONE) throw protocolError(errorCode, `describing group ${groupId}`);
    return authorizedOperations;
  }

  /** The controller's clock less ours, ms, and how exact that is at best; undefined where it does not say. Asks for Describe on the cluster. */
  async clockOffset(): Promise<{ readonly offsetMs: number; readonly exactMs: number } | undefined> {
    const [nodeId] = await this.#cluster.nodeIds();
    await this.#connections.send(nodeId, apiVersionsRequest()); // connected: what is timed is one round trip
    const before = Date.now();
    const { errorCode, leaderTimeMs } = await this.#connections.send(nodeId, describeQuorumRequest());
    const after = Date.now();
    if (errorCode !== NONE) throw protocolError(errorCode, "asking the controller for its time");
    return leaderTimeMs === undefined ? undefined : { offsetMs: leaderTimeMs - (before + after) / 2, exactMs: (after - before) / 2 };
  }

  async close(): Promise<void> {
    await this.#connections.close();
    await this.#cluster.close();
  }
}
