/** Answers a request about one device where its state lives: here, or by one hop to the worker that has it. */
import { setTimeout as delay } from "node:timers/promises";
import type { FastifyReply, FastifyRequest } from "fastify";
import { deviceKey } from "../processors/formats/names.ts";
import { STORES } from "../processors/formats/records.ts";
import { StateUnavailableError, type LocateOptions, type Location, type Queries, type StoreReader } from "../runtime/queries.ts";
import { ApiError } from "./errors.ts";
import { checkId, type DeviceParams, type StalenessQuery } from "./parameters.ts";
import { peerPath } from "./peer-path.ts";
import { FORWARDED_HEADER, STALENESS_HEADER, type PeerAnswer, type PeerClient } from "./peer-client.ts";

/** A hand-over of a task takes less; a person does not notice it, and a load balancer waits longer. */
const HANDOVER_WAIT_MS = 500;
const HANDOVER_POLL_MS = 20;

/** Whose task is asked, and how far behind it an answer may be while it cannot be asked. */
export interface Place extends LocateOptions {
  readonly partitionKey: string;
  readonly maxStalenessMs?: number | undefined;
}

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
    request: FastifyRequest<{ Params: DeviceParams; Querystring?: object }>,
    reply: FastifyReply,
    local: (device: Device, reader: StoreReader) => Promise<unknown>,
  ): Promise<unknown> {
    const device = deviceOf(request.params);
    const { maxStalenessMs } = (request.query ?? {}) as StalenessQuery;
    const place = { partitionKey: device.key, store: STORES.deviceState, maxStalenessMs };
    return this.answerFor(request, reply, place, (reader) => local(device, reader));
  }

  /** As answer(), for the task of `partitionKey`. While it moves, waits a little, then answers from a standby if it may, or 503. */
  async answerFor(
    request: FastifyRequest,
    reply: FastifyReply,
    place: Place,
    local: (reader: StoreReader) => Promise<unknown>,
  ): Promise<unknown> {
    const standby = async (error: ApiError): Promise<unknown> => {
      const answered = await this.#answerFromStandby(request, reply, place, local);
      if (answered === undefined) throw error;
      return answered;
    };
    const location = await this.#locate(place);
    switch (location.kind) {
      case "local":
        return local(this.#queries);
      case "unavailable":
        return standby(
          new ApiError("state-unavailable", "the task of this key is moving or being restored", { retryAfterMs: location.retryAfterMs }),
        );
      case "remote":
        // Two workers that each think the other has it are in the middle of a rebalance: it will be over soon.
        if (request.headers[FORWARDED_HEADER] !== undefined)
          return standby(new ApiError("state-unavailable", "the device's task is moving between workers", { retryAfterMs: 1000 }));
        try {
          const answer = await this.#peers.get(location.url, peerPath(request.url), request);
          if (place.maxStalenessMs === undefined || answer.status !== 503) return await sendAnswer(reply, answer);
          const standbyAnswer = await this.#answerFromStandby(request, reply, place, local);
          return standbyAnswer ?? (await sendAnswer(reply, answer));
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          return standby(error);
        }
    }
  }

  /**
   * As answerFor(), for who has something else to answer with: `path` is what another worker is asked for. Undefined when the task
   * cannot be asked now.
   */
  async ask<T>(
    request: FastifyRequest,
    { path, ...place }: Place & { readonly path: string },
    local: (reader: StoreReader) => Promise<T>,
  ): Promise<{ readonly kind: "local"; readonly value: T } | { readonly kind: "remote"; readonly answer: PeerAnswer } | undefined> {
    const location = await this.#locate(place);
    if (location.kind === "unavailable") return undefined;
    try {
      if (location.kind === "local") return { kind: "local", value: await local(this.#queries) };
      return { kind: "remote", answer: await this.#peers.get(location.url, path, request) };
    } catch (error) {
      if (error instanceof ApiError || error instanceof StateUnavailableError) return undefined;
      throw error;
    }
  }

  /** Undefined when no standby may answer. One that another worker sent here asks nobody else. */
  async #answerFromStandby(
    request: FastifyRequest,
    reply: FastifyReply,
    { partitionKey, maxStalenessMs, ...options }: Place,
    local: (reader: StoreReader) => Promise<unknown>,
  ): Promise<unknown> {
    if (maxStalenessMs === undefined) return undefined;
    const isForwarded = request.headers[FORWARDED_HEADER] !== undefined;
    for (const location of this.#queries.standbysOf(partitionKey, { ...options, maxStalenessMs })) {
      if (location.kind === "local") {
        reply.header(STALENESS_HEADER, location.stalenessMs);
        return local(location.reader);
      }
      if (isForwarded) continue;
      try {
        const answer = await this.#peers.get(location.url, peerPath(request.url), request);
        if (answer.status !== 503) return await sendAnswer(reply, answer);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error; // that one cannot be asked either: the next
      }
    }
    return undefined;
  }

  async #locate({ partitionKey, store }: Place): Promise<Location> {
    const deadline = performance.now() + HANDOVER_WAIT_MS;
    for (;;) {
      const location = this.#queries.locate(partitionKey, { store });
      if (location.kind !== "unavailable" || performance.now() >= deadline) return location;
      await delay(HANDOVER_POLL_MS);
    }
  }
}

/** Another worker's answer, whatever it is. */
export async function sendAnswer(reply: FastifyReply, answer: PeerAnswer): Promise<FastifyReply> {
  if (answer.retryAfter !== undefined) reply.header("retry-after", answer.retryAfter);
  if (answer.etag !== undefined) reply.header("etag", answer.etag);
  if (answer.stalenessMs !== undefined) reply.header(STALENESS_HEADER, answer.stalenessMs);
  return reply.code(answer.status).type(answer.contentType).send(answer.body);
}

function deviceOf(params: DeviceParams): Device {
  const tenant = checkId(params.tenant, "tenant");
  const deviceId = checkId(params.id, "device id");
  return { tenant, deviceId, key: deviceKey(tenant, deviceId) };
}
