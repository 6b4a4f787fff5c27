/** Sends to a coordinator, wherever it is now. */
import { LogError } from "../../errors.ts";
import { isCoordinatorMove, protocolError } from "../protocol-errors.ts";
import type { CoordinatorType } from "../requests/find-coordinator.ts";
import type { KafkaRequest } from "../wire/request.ts";
import type { Cluster } from "./cluster.ts";
import type { Connections } from "./connections.ts";

export class CoordinatorClient {
  readonly #cluster: Cluster;
  readonly #connections: Connections;
  readonly #type: CoordinatorType;
  readonly #key: string;

  constructor(cluster: Cluster, connections: Connections, type: CoordinatorType, key: string) {
    this.#cluster = cluster;
    this.#connections = connections;
    this.#type = type;
    this.#key = key;
  }

  /**
   * One try. A coordinator that moved, is loading or cannot be reached rejects with a retriable error and is looked up anew next time.
   * @param errorCodeOf the code in an answer that may say "not the coordinator".
   */
  async send<Response>(
    request: KafkaRequest<Response>,
    errorCodeOf: (response: Response) => number,
    timeoutMs?: number,
  ): Promise<Response> {
    const nodeId = await this.#cluster.coordinator(this.#type, this.#key);
    let response: Response;
    try {
      response = await this.#connections.send(nodeId, request, timeoutMs);
    } catch (error) {
      if (error instanceof LogError && error.action === "retriable") this.#cluster.forgetCoordinator(this.#type, this.#key);
      throw error;
    }
    const errorCode = errorCodeOf(response);
    if (!isCoordinatorMove(errorCode)) return response;
    this.#cluster.forgetCoordinator(this.#type, this.#key);
    throw protocolError(errorCode, `${request.name} for ${this.#type} ${this.#key}`);
  }
}
