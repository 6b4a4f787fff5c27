/** What a transactional writer asks its coordinator, and the groups' coordinators, with the retries each question needs. */
import { LogError } from "../../errors.ts";
import type { CommittedOffset, GroupMetadata, TopicPartition } from "../../port.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { Connections } from "../connection/connections.ts";
import { CoordinatorClient } from "../connection/coordinator-client.ts";
import { delay, retrying } from "../connection/retry.ts";
import { initProducer } from "../init-producer.ts";
import { CONCURRENT_TRANSACTIONS, isTransient, NONE, protocolError, UNKNOWN_TOPIC_OR_PARTITION } from "../protocol-errors.ts";
import type { ProducerIdentity } from "../requests/init-producer-id.ts";
import {
  addOffsetsToTxnRequest,
  addPartitionsToTxnRequest,
  endTxnRequest,
  type PartitionError,
  type TransactionIdentity,
} from "../requests/transaction.ts";
import { txnOffsetCommitRequest } from "../requests/txn-offset-commit.ts";
import type { KafkaRequest } from "../wire/request.ts";

/** One question with all its retries: a coordinator may have to move to another broker. */
const CALL_TIMEOUT_MS = 30_000;
/** The previous transaction's markers are being written, which takes a few milliseconds: ask again at once (KIP-890 has the details). */
const CONCURRENT_DELAY_MS = 1;
/** A topic just made may not be known to the coordinator's broker yet. */
const UNKNOWN_TOPIC_GRACE_MS = 2_000;
const UNKNOWN_TOPIC_DELAY_MS = 20;
/** The answer to partitions that were not looked at because of another one's error. */
const OPERATION_NOT_ATTEMPTED = 55;

export class TransactionCoordinator {
  readonly #cluster: Cluster;
  readonly #connections: Connections;
  readonly #transactionalId: string;
  readonly #coordinator: CoordinatorClient;
  readonly #groups = new Map<string, CoordinatorClient>();
  readonly #stopped: () => boolean;

  constructor(cluster: Cluster, connections: Connections, transactionalId: string, stopped: () => boolean) {
    this.#cluster = cluster;
    this.#connections = connections;
    this.#transactionalId = transactionalId;
    this.#coordinator = new CoordinatorClient(cluster, connections, "transaction", transactionalId);
    this.#stopped = stopped;
  }

  init(timeoutMs: number, current?: ProducerIdentity): Promise<ProducerIdentity> {
    return initProducer(this.#coordinator, { transactionalId: this.#transactionalId, timeoutMs, current, stopped: this.#stopped });
  }

  async addPartitions(producer: ProducerIdentity, partitions: readonly TopicPartition[]): Promise<void> {
    const request = addPartitionsToTxnRequest(this.#identity(producer), partitions);
    const graceEnd = performance.now() + UNKNOWN_TOPIC_GRACE_MS;
    for (;;) {
      const answers = await this.#ask(this.#coordinator, request, worst);
      if (worst(answers) !== UNKNOWN_TOPIC_OR_PARTITION || performance.now() > graceEnd) {
        throwFirst(answers, `AddPartitionsToTxn of ${this.#transactionalId} for`);
        return;
      }
      await delay(UNKNOWN_TOPIC_DELAY_MS);
    }
  }

  async addOffsets(producer: ProducerIdentity, groupId: string): Promise<void> {
    const errorCode = await this.#ask(this.#coordinator, addOffsetsToTxnRequest(this.#identity(producer), groupId), (code) => code);
    if (errorCode !== NONE) throw protocolError(errorCode, `AddOffsetsToTxn of ${this.#transactionalId} for group ${groupId}`);
  }

  async commitOffsets(producer: ProducerIdentity, offsets: readonly CommittedOffset[], group: GroupMetadata): Promise<void> {
    let coordinator = this.#groups.get(group.groupId);
    if (coordinator === undefined) {
      coordinator = new CoordinatorClient(this.#cluster, this.#connections, "group", group.groupId);
      this.#groups.set(group.groupId, coordinator);
    }
    const answers = await this.#ask(coordinator, txnOffsetCommitRequest(this.#identity(producer), group, offsets), worst);
    throwFirst(answers, `TxnOffsetCommit of group ${group.groupId} (generation ${group.generationId}) for`);
  }

  /** The error code, once the coordinator has given its last word. With the same epoch the question may be repeated, so a lost answer is asked for again. */
  end(producer: ProducerIdentity, commit: boolean): Promise<number> {
    return this.#ask(this.#coordinator, endTxnRequest(this.#identity(producer), commit), (code) => code);
  }

  #identity(producer: ProducerIdentity): TransactionIdentity {
    return { transactionalId: this.#transactionalId, ...producer };
  }

  /**
   * Repeats while the transaction before is being finished, while the coordinator moves, and when the answer is lost (all
   * these requests may be repeated with the same epoch).
   */
  async #ask<Response>(
    coordinator: CoordinatorClient,
    request: KafkaRequest<Response>,
    errorCodeOf: (response: Response) => number,
  ): Promise<Response> {
    const deadline = performance.now() + CALL_TIMEOUT_MS;
    return retrying({ withinMs: CALL_TIMEOUT_MS, stopped: this.#stopped }, async () => {
      for (;;) {
        const response = await coordinator.send(request, errorCodeOf);
        const errorCode = errorCodeOf(response);
        if (errorCode !== CONCURRENT_TRANSACTIONS) {
          if (!isTransient(errorCode)) return response;
          throw protocolError(errorCode, `${request.name} of ${this.#transactionalId}`);
        }
        if (performance.now() > deadline)
          throw new LogError("timed-out", `${request.name} of ${this.#transactionalId}: the transaction before does not end`);
        await delay(CONCURRENT_DELAY_MS);
      }
    });
  }
}

/** The code that says most: the first that is neither success nor "not attempted". */
function worst(answers: readonly PartitionError[]): number {
  let code = NONE;
  for (const { errorCode } of answers) {
    if (errorCode !== NONE && errorCode !== OPERATION_NOT_ATTEMPTED) return errorCode;
    if (errorCode !== NONE) code = errorCode;
  }
  return code;
}

function throwFirst(answers: readonly PartitionError[], what: string): void {
  const code = worst(answers);
  if (code === NONE) return;
  const bad = answers.filter(({ errorCode }) => errorCode === code).map(({ topic, partition }) => ({ topic, partition }));
  throw protocolError(code, `${what} ${bad[0].topic}/${bad[0].partition}`, bad);
}
