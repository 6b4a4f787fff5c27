/**
 * The connections of one client (a reader, a writer, a group member): one a broker. Clients do not share them, because a broker
 * takes one connection's requests one after the other: a long poll or a JoinGroup that waits would hold up everything behind it.
 */
import { LogError } from "../../errors.ts";
import type { KafkaRequest } from "../wire/request.ts";
import { BrokerLink } from "./broker-link.ts";
import type { Address, ConnectionSettings } from "./options.ts";

export class Connections {
  readonly #settings: ConnectionSettings;
  readonly #addressOf: (nodeId: number) => Address | undefined;
  readonly #links = new Map<number, BrokerLink>();
  readonly #opening = new Map<number, Promise<BrokerLink>>();
  #closed = false;

  /** @param addressOf looked up at each send, so that a broker that moved is found again. */
  constructor(settings: ConnectionSettings, addressOf: (nodeId: number) => Address | undefined) {
    this.#settings = settings;
    this.#addressOf = addressOf;
  }

  get requestTimeoutMs(): number {
    return this.#settings.requestTimeoutMs;
  }

  /** See BrokerLink.send for the errors. */
  async send<Response>(nodeId: number, request: KafkaRequest<Response>, timeoutMs = this.#settings.requestTimeoutMs): Promise<Response> {
    const link = this.#ready(nodeId) ?? (await this.#open(nodeId));
    return link.send(request, timeoutMs);
  }

  /** Closes at once; what is in flight rejects with `closed` or `unavailable`. */
  async close(): Promise<void> {
    this.#closed = true;
    const links = [...this.#links.values()];
    this.#links.clear();
    await Promise.all(links.map((link) => link.destroy()));
    await Promise.allSettled(this.#opening.values());
  }

  #ready(nodeId: number): BrokerLink | undefined {
    const link = this.#links.get(nodeId);
    if (link === undefined) return undefined;
    const address = this.#addressOf(nodeId);
    if (link.usable && address !== undefined && address.host === link.address.host && address.port === link.address.port) return link;
    this.#links.delete(nodeId);
    link.drain().catch((error: unknown) => this.#settings.logger.debug({ err: error }, "closing a stale connection failed"));
    return undefined;
  }

  #open(nodeId: number): Promise<BrokerLink> {
    let opening = this.#opening.get(nodeId);
    if (opening === undefined) {
      opening = this.#connect(nodeId).finally(() => this.#opening.delete(nodeId));
      this.#opening.set(nodeId, opening);
    }
    return opening;
  }

  async #connect(nodeId: number): Promise<BrokerLink> {
    if (this.#closed) throw new LogError("closed", "the client is closed");
    const address = this.#addressOf(nodeId);
    if (address === undefined) throw new LogError("unavailable", `the address of broker ${nodeId} is not known`);
    const link = await BrokerLink.open(address, this.#settings);
    if (this.#closed) {
      await link.destroy();
      throw new LogError("closed", "the client is closed");
    }
    this.#links.set(nodeId, link);
    return link;
  }
}
