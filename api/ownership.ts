/** Answers a request about one device where its state lives: here, or by one hop to the worker that has it. */
import { setTimeout as delay } from "node:timers/promises";
import type { FastifyReply, FastifyRequest } from "fastify";
import { deviceKey } from "../processors/formats/names.ts";
import { STORES } from "../processors/formats/records.ts";
import type { LocateOptions, Location, Queries } from "../runtime/queries.ts";
import { ApiError } from "./errors.ts";
import { checkId, type DeviceParams } from "./parameters.ts";
import { FORWARDED_HEADER, type PeerClient } from "./peer-client.ts";

/** A hand-over of a task takes less; a person does not notice it, and a load balancer waits longer. */
const HANDOVER_WAIT_MS = 500;
const HANDOVER_POLL_MS = 20;

export interface Device {
  readonly tenant: string;
  readonly deviceId: string;
  /** `tenant|deviceId` */
  readonly key: string;
}

export class Ownership {
  readonly #queries: Queries;
  readonly #peers: PeerClient;

  constructor(queries: Queries, peers: PeerClient) {
    this.#queries = queries;
    this.#peers = peers;
  }

  /** Runs `local` when the device's task is here; else sends the other worker's answer, whatever it is. */
  async answer(
    request: FastifyRequest<{ Params: DeviceParams }>,
    reply: FastifyReply,
    local: (device: Device) => Promise<unknown>,
  ): Promise<unknown> {
    const device = deviceOf(request.params);
    return this.answerFor(request, reply, { partitionKey: device.key, store: STORES.deviceState }, () => local(device));
  }

  /** As answer(), for the task of `partitionKey`. While it moves, waits a little, then answers 503. */
  async answerFor(
    request: FastifyRequest,
    reply: FastifyReply,
    place: LocateOptions & { readonly partitionKey: string },
    local: () => Promise<unknown>,
  ): Promise<unknown> {
    const location = await this.#locate(place);
    switch (location.kind) {
      case "local":
        return local();
      case "unavailable":
        throw new ApiError("state-unavailable", "the task of this key is moving or being restored", {
          retryAfterMs: location.retryAfterMs,
        });
      case "remote":
        return this.#forward(location.url, request, reply);
    }
  }

  async #locate({ partitionKey, ...options }: LocateOptions & { readonly partitionKey: string }): Promise<Location> {
    const deadline = performance.now() + HANDOVER_WAIT_MS;
    for (;;) {
      const location = this.#queries.locate(partitionKey, options);
      if (location.kind !== "unavailable" || performance.now() >= deadline) return location;
      await delay(HANDOVER_POLL_MS);
    }
  }

  async #forward(url: string, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    // Two workers that each think the other has it are in the middle of a rebalance: it will be over soon.
    if (request.headers[FORWARDED_HEADER] !== undefined) {
      throw new ApiError("state-unavailable", "the device's task is moving between workers", { retryAfterMs: 1000 });
    }
    const answer = await this.#peers.get(url, request.url, request);
    if (answer.retryAfter !== undefined) reply.header("retry-after", answer.retryAfter);
    return reply.code(answer.status).type(answer.contentType).send(answer.body);
  }
}

function deviceOf(params: DeviceParams): Device {
  const tenant = checkId(params.tenant, "tenant");
  const deviceId = checkId(params.id, "device id");
  return { tenant, deviceId, key: deviceKey(tenant, deviceId) };
}
