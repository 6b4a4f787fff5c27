/** The producer id and sequences of a plain writer. */
import { LogError } from "../../errors.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { Connections } from "../connection/connections.ts";
import { NONE, protocolError } from "../protocol-errors.ts";
import { initProducerIdRequest, type ProducerIdentity } from "../requests/init-producer-id.ts";
import { Sequences } from "./sequences.ts";

/** Not used without a transactional id, but the protocol has the field. */
const NO_TRANSACTION_TIMEOUT_MS = 60_000;

export class PlainProducer {
  readonly #cluster: Cluster;
  readonly #connections: Connections;
  readonly #sequences = new Sequences();
  #identity: ProducerIdentity | undefined;
  #spent = false;
  #initializing = false;

  constructor(cluster: Cluster, connections: Connections) {
    this.#cluster = cluster;
    this.#connections = connections;
  }

  /** False before the first init(), and from spend() to the next one: then nothing new may be stamped. */
  get usable(): boolean {
    return this.#identity !== undefined && !this.#spent;
  }

  get initializing(): boolean {
    return this.#initializing;
  }

  /** A batch's fate is unknown, so its partition's next sequence number is too. */
  spend(): void {
    this.#spent = true;
  }

  stamp(topic: string, partition: number): ProducerIdentity & { readonly baseSequence: number } {
    if (this.#identity === undefined) throw new LogError("invalid-state", "the writer has no producer id yet");
    return { ...this.#identity, baseSequence: this.#sequences.get(topic, partition) };
  }

  /** After the broker took a batch. */
  advance(topic: string, partition: number, records: number): void {
    this.#sequences.advance(topic, partition, records);
  }

  /** Takes a new producer id. Nothing stamped with the old one may be waiting or in flight. Returns why it failed. */
  async init(): Promise<LogError | undefined> {
    this.#initializing = true;
    try {
      const [nodeId] = await this.#cluster.nodeIds();
      const { errorCode, ...identity } = await this.#connections.send(nodeId, initProducerIdRequest(null, NO_TRANSACTION_TIMEOUT_MS));
      if (errorCode !== NONE) return protocolError(errorCode, "InitProducerId");
      this.#identity = identity;
      this.#sequences.reset();
      this.#spent = false;
      return undefined;
    } catch (error) {
      if (error instanceof LogError) return error;
      throw error;
    } finally {
      this.#initializing = false;
    }
  }
}
