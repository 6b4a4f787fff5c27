/** Topics, offsets, groups and transactions, without membership. */
import { LogError } from "../errors.ts";
import type { Admin, CommittedOffset, IsolationLevel, PartitionOffset, TopicDescription, TopicPartition, TopicSpec } from "../port.ts";
import { NO_LEADER, type Cluster } from "./connection/cluster.ts";
import type { Connections } from "./connection/connections.ts";
import { CoordinatorClient } from "./connection/coordinator-client.ts";
import { retrying } from "./connection/retry.ts";
import { refusedCommitError, tryCommitOffsets } from "./commit-offsets.ts";
import { fetchCommitted } from "./fetch-committed.ts";
import { initProducer } from "./init-producer.ts";
import { GROUP_ID_NOT_FOUND, NONE, protocolError, TOPIC_ALREADY_EXISTS, UNKNOWN_TOPIC_OR_PARTITION } from "./protocol-errors.ts";
import { deleteGroupRequest } from "./requests/delete-groups.ts";
import { deleteRecordsRequest } from "./requests/delete-records.ts";
import { describeGroupRequest } from "./requests/describe-group.ts";
import { EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, listOffsetsRequest } from "./requests/list-offsets.ts";
import { listTransactionsRequest } from "./requests/list-transactions.ts";
import { createTopicsRequest, deleteTopicsRequest, describeTopicConfigsRequest } from "./requests/topics.ts";
import type { KafkaRequest } from "./wire/request.ts";

/** One admin call with all its retries: long enough for a broker to restart. */
const CALL_TIMEOUT_MS = 30_000;
/** States in which a transaction still holds up the last stable offset. */
const OPEN_STATES = ["Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"];
/** fence() opens no transaction, so this never comes to bear. */
const FENCE_TRANSACTION_TIMEOUT_MS = 60_000;

export class KafkaAdmin implements Admin {
  readonly #cluster: Cluster;
  readonly #connections: Connections;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#connections = cluster.connect();
  }

  async createTopics(topics: readonly TopicSpec[]): Promise<readonly string[]> {
    if (topics.length === 0) return [];
    const made = await this.#retrying(async () => {
      const controller = await this.#cluster.controllerId();
      const answers = await this.#connections.send(controller, createTopicsRequest(topics, CALL_TIMEOUT_MS));
      for (const { name, errorCode, message } of answers) {
        if (errorCode !== NONE && errorCode !== TOPIC_ALREADY_EXISTS)
          throw protocolError(errorCode, `creating topic ${name}${message === null ? "" : ` (${message})`}`);
      }
      return answers.filter(({ errorCode }) => errorCode === NONE).map(({ name }) => name);
    });
    await this.#until("the new topics have leaders", async () => {
      await this.#cluster.refresh(topics.map(({ name }) => name));
      return topics.every(({ name }) => (this.#cluster.cachedLeader({ topic: name, partition: 0 }) ?? NO_LEADER) !== NO_LEADER);
    });
    return made;
  }

  async describeTopics(names: readonly string[]): Promise<readonly TopicDescription[]> {
    return this.#retrying(async () => {
      const counts = await Promise.all(names.map((name) => this.#cluster.freshPartitionCount(name)));
      const present = names.filter((_, index) => counts[index] !== undefined);
      if (present.length === 0) return [];
      const [nodeId] = await this.#cluster.nodeIds();
      const answers = await this.#connections.send(nodeId, describeTopicConfigsRequest(present));
      return answers.flatMap(({ name, errorCode, config }) => {
        if (errorCode === UNKNOWN_TOPIC_OR_PARTITION) return [];
        if (errorCode !== NONE) throw protocolError(errorCode, `DescribeConfigs of topic ${name}`);
        return [{ name, partitions: counts[names.indexOf(name)] ?? 0, config }];
      });
    });
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    await this.#retrying(async () => {
      const controller = await this.#cluster.controllerId();
      for (const { name, errorCode } of await this.#connections.send(controller, deleteTopicsRequest(names, CALL_TIMEOUT_MS))) {
        if (errorCode !== NONE && errorCode !== UNKNOWN_TOPIC_OR_PARTITION) throw protocolError(errorCode, `deleting topic ${name}`);
      }
    });
    await this.#until("the topics are gone", async () => {
      const counts = await Promise.all(names.map((name) => this.#cluster.freshPartitionCount(name)));
      return counts.every((count) => count === undefined);
    });
    this.#cluster.forget(names);
  }

  async listOffsets(
    partitions: readonly TopicPartition[],
    at: "earliest" | "latest" | number,
    isolation: IsolationLevel,
  ): Promise<readonly PartitionOffset[]> {
    const timestamp = at === "earliest" ? EARLIEST_TIMESTAMP : at === "latest" ? LATEST_TIMESTAMP : at;
    const found = await this.#listOffsets(partitions, timestamp, isolation);
    const missing = found.filter(({ offset }) => offset < 0);
    if (missing.length === 0) return found;
    // No record is that young: what is written next will be.
    const ends = await this.#listOffsets(missing, LATEST_TIMESTAMP, isolation);
    return found.map((one) =>
      one.offset >= 0 ? one : (ends.find((end) => end.topic === one.topic && end.partition === one.partition) ?? one),
    );
  }

  async groupOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<readonly CommittedOffset[]> {
    const coordinator = new CoordinatorClient(this.#cluster, this.#connections, "group", groupId);
    return this.#retrying(() => fetchCommitted(coordinator, groupId, partitions, false));
  }

  async setGroupOffsets(groupId: string, offsets: readonly CommittedOffset[]): Promise<void> {
    const coordinator = new CoordinatorClient(this.#cluster, this.#connections, "group", groupId);
    const administrator = { groupId, generationId: -1, memberId: "" };
    await this.#retrying(async () => {
      const refused = await tryCommitOffsets(coordinator, administrator, offsets);
      if (refused !== undefined) throw refusedCommitError(refused, administrator);
    });
  }

  async groupMembers(groupId: string): Promise<readonly string[]> {
    const coordinator = new CoordinatorClient(this.#cluster, this.#connections, "group", groupId);
    return this.#retrying(async () => {
      const { errorCode, memberIds } = await coordinator.send(describeGroupRequest(groupId), (group) => group.errorCode);
      if (errorCode !== NONE) throw protocolError(errorCode, `describing group ${groupId}`);
      return memberIds;
    });
  }

  async deleteGroupOffsets(groupId: string): Promise<void> {
    const coordinator = new CoordinatorClient(this.#cluster, this.#connections, "group", groupId);
    await this.#retrying(async () => {
      const errorCode = await coordinator.send(deleteGroupRequest(groupId), (code) => code);
      if (errorCode !== NONE && errorCode !== GROUP_ID_NOT_FOUND) throw protocolError(errorCode, `deleting group ${groupId}`);
    });
  }

  async deleteRecords(before: readonly PartitionOffset[]): Promise<void> {
    await this.#retrying(async () => {
      for (const [leader, wanted] of await this.#byLeader(before)) {
        for (const { topic, partition, errorCode } of await this.#send(leader, wanted, deleteRecordsRequest(wanted, CALL_TIMEOUT_MS))) {
          if (errorCode === NONE) continue;
          this.#cluster.forget([topic]);
          throw protocolError(errorCode, `deleting records of ${topic}/${partition}`, [{ topic, partition }]);
        }
      }
    });
  }

  async openTransactions(transactionalIdPrefix: string): Promise<readonly string[]> {
    return this.#retrying(async () => {
      const nodeIds = await this.#cluster.nodeIds();
      const answers = await Promise.all(nodeIds.map((nodeId) => this.#connections.send(nodeId, listTransactionsRequest(OPEN_STATES))));
      return answers.flatMap(({ errorCode, transactions }) => {
        if (errorCode !== NONE) throw protocolError(errorCode, "listing transactions");
        return transactions.map(({ transactionalId }) => transactionalId).filter((id) => id.startsWith(transactionalIdPrefix));
      });
    });
  }

  async fence(transactionalId: string): Promise<void> {
    const coordinator = new CoordinatorClient(this.#cluster, this.#connections, "transaction", transactionalId);
    await initProducer(coordinator, { transactionalId, timeoutMs: FENCE_TRANSACTION_TIMEOUT_MS });
  }

  async close(): Promise<void> {
    await this.#connections.close();
  }

  async #listOffsets(partitions: readonly TopicPartition[], timestamp: number, isolation: IsolationLevel): Promise<PartitionOffset[]> {
    const found = new Map<TopicPartition, number>();
    await this.#retrying(async () => {
      const byLeader = await this.#byLeader(partitions.filter((one) => !found.has(one)));
      await Promise.all(
        [...byLeader].map(async ([leader, wanted]) => {
          const answers = await this.#send(leader, wanted, listOffsetsRequest(wanted, timestamp, isolation === "read_committed"));
          for (const { topic, partition, errorCode, offset } of answers) {
            if (errorCode !== NONE) {
              this.#cluster.forget([topic]);
              throw protocolError(errorCode, `offsets of ${topic}/${partition}`, [{ topic, partition }]);
            }
            const asked = wanted.find((one) => one.topic === topic && one.partition === partition);
            if (asked !== undefined) found.set(asked, offset);
          }
        }),
      );
    });
    return partitions.map((one) => ({ topic: one.topic, partition: one.partition, offset: found.get(one) ?? -1 }));
  }

  async #byLeader<T extends TopicPartition>(partitions: readonly T[]): Promise<Map<number, T[]>> {
    const byLeader = new Map<number, T[]>();
    for (const one of partitions) {
      const { topic, partition } = one;
      const leader = await this.#cluster.leader(one);
      if (leader === NO_LEADER) {
        this.#cluster.forget([topic]);
        throw new LogError("unavailable", `${topic}/${partition} has no leader`, { partitions: [{ topic, partition }] });
      }
      const list = byLeader.get(leader);
      if (list === undefined) byLeader.set(leader, [one]);
      else list.push(one);
    }
    return byLeader;
  }

  async #send<Response>(leader: number, wanted: readonly TopicPartition[], request: KafkaRequest<Response>): Promise<Response> {
    try {
      return await this.#connections.send(leader, request);
    } catch (error) {
      this.#cluster.forget(wanted.map(({ topic }) => topic));
      throw error;
    }
  }

  #retrying<T>(attempt: () => Promise<T>): Promise<T> {
    return retrying({ withinMs: CALL_TIMEOUT_MS }, attempt);
  }

  #until(what: string, condition: () => Promise<boolean>): Promise<void> {
    return this.#retrying(async () => {
      if (!(await condition())) throw new LogError("timed-out", `waited in vain until ${what}`);
    });
  }
}
