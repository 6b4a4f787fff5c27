/** `GET|PATCH|PUT|DELETE …/devices/{id}/shadow` and `GET …/shadow/requests/{request}`: what is desired of a device, and what it says it is. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { JsonObject } from "../../processors/formats/merge-patch.ts";
import { deviceKey } from "../../processors/formats/names.ts";
import { STORES } from "../../processors/formats/records.ts";
import {
  MAX_SHADOW_UPDATE_BYTES,
  shadowRequestProblem,
  type ShadowOp,
  type ShadowRequest,
  type ShadowRowShape,
} from "../../processors/formats/shadow.ts";
import type { StoreReader } from "../../runtime/queries.ts";
import { ApiError } from "../errors.ts";
import type { ShadowGate } from "../options.ts";
import { sendAnswer } from "../ownership.ts";
import { checkId, DEVICE_PARAMS, STALENESS_QUERY, type DeviceParams, type StalenessQuery } from "../parameters.ts";
import type { Services } from "../route.ts";

/** Whoever changes a shadow is answered when it is applied, or after so long that it will be. Below the time-out of a peer's answer. ms. */
const APPLIED_WAIT_MS = 2_000;
/** Commits come every few tens of ms; a look is a look into memory. */
const LOOK_MS = 10;
/** After a log that did not answer: the same request may be made again under the same id. */
const RETRY_AFTER_MS = 1_000;

const REQUEST_ID = { type: "string", minLength: 1, maxLength: 128 } as const;
const STATE = { type: "object", description: "JSON; null takes a name away" } as const;
const REQUEST_PARAMS = {
  type: "object",
  required: [...DEVICE_PARAMS.required, "request"],
  properties: { ...DEVICE_PARAMS.properties, request: { ...REQUEST_ID, description: "Id of the request" } },
} as const;
const WAIT_QUERY = {
  type: "object",
  additionalProperties: false,
  properties: {
    waitMs: { type: "integer", minimum: 0, maximum: APPLIED_WAIT_MS, default: 0, description: "Wait so long for it to be applied" },
  },
} as const;

type ChangeHeaders = { "idempotency-key"?: string; "if-match"?: string };
type ChangeRequest = FastifyRequest<{ Params: DeviceParams; Body: JsonObject | undefined; Headers: ChangeHeaders }>;

export function shadowRoutes(app: FastifyInstance, services: Services): void {
  const { options, ownership } = services;
  const gate = (): ShadowGate => {
    if (options.shadow !== undefined) return options.shadow;
    throw new ApiError("shadow-unavailable", "shadow.enabled is false");
  };
  const readBody = app.getDefaultJsonParser("error", "error");
  app.addContentTypeParser<string>("application/merge-patch+json", { parseAs: "string" }, (request, body, done) => {
    void readBody(request, body, done);
  });

  app.get<{ Params: DeviceParams; Querystring: StalenessQuery }>(
    "/v1/tenants/:tenant/devices/:id/shadow",
    {
      schema: { params: DEVICE_PARAMS, querystring: STALENESS_QUERY },
      config: {
        operation: {
          tag: "shadow",
          summary: "What is desired of a device, what it reported, and the delta; the version is the ETag too",
          answers: "Shadow",
          problems: [404, 501, 503],
        },
      },
    },
    (request, reply) => {
      gate();
      const { tenant, deviceId } = deviceOf(request.params);
      const place = { partitionKey: deviceKey(tenant, deviceId), store: STORES.shadows, maxStalenessMs: request.query.maxStalenessMs };
      return ownership.answerFor(request, reply, place, async (reader) => {
        const row = (await reader.get(STORES.shadows, place.partitionKey)) as ShadowRowShape | undefined;
        const document = row?.document(tenant, deviceId);
        if (document === undefined) throw new ApiError("shadow-unknown", `device "${deviceId}" has no shadow`);
        reply.header("etag", `"${document.version}"`);
        return document;
      });
    },
  );

  const change = (method: "PATCH" | "PUT" | "DELETE", op: ShadowOp, summary: string): void => {
    app.route<{ Params: DeviceParams; Body: JsonObject | undefined; Headers: ChangeHeaders }>({
      method,
      url: "/v1/tenants/:tenant/devices/:id/shadow",
      schema: { params: DEVICE_PARAMS, ...(op === "delete" ? {} : { body: STATE }) },
      config: {
        operation: {
          tag: "shadow",
          summary,
          description:
            "200 when it is applied; 202 when it is in the log and not applied within 2 s: `…/shadow/requests/{id}` tells of it. " +
            "With If-Match only if the version is that one (412 otherwise). The same Idempotency-Key again is the same request.",
          answers: "ShadowChange",
          problems: [412, 413, 501, 503],
        },
      },
      handler: (request, reply) => changeShadow(gate(), services, op, request, reply),
    });
  };
  change("PATCH", "patch", "Merge into the desired state (RFC 7396)");
  change("PUT", "replace", "Replace the desired state");
  change("DELETE", "delete", "Delete the shadow, the reported state too; its version goes on");

  app.get<{ Params: DeviceParams & { request: string }; Querystring: { waitMs: number } }>(
    "/v1/tenants/:tenant/devices/:id/shadow/requests/:request",
    {
      schema: { params: REQUEST_PARAMS, querystring: WAIT_QUERY },
      config: {
        operation: {
          tag: "shadow",
          summary: "What became of a change: one of the shadow's last 32",
          answers: "ShadowChange",
          problems: [404, 412, 413, 501, 503],
        },
      },
    },
    (request, reply) => {
      gate();
      const device = deviceOf(request.params);
      const { request: id } = request.params;
      const place = { partitionKey: deviceKey(device.tenant, device.deviceId), store: STORES.shadows };
      return ownership.answerFor(request, reply, place, async (reader) => {
        const row = await appliedRow(reader, place.partitionKey, id, request.query.waitMs);
        if (row === undefined) throw new ApiError("shadow-request-unknown", `request "${id}" is not applied yet, or not remembered`);
        return changeAnswer(row, device, id);
      });
    },
  );
}

interface DeviceName {
  readonly tenant: string;
  readonly deviceId: string;
}

function deviceOf({ tenant, id }: DeviceParams): DeviceName {
  return { tenant: checkId(tenant, "tenant"), deviceId: checkId(id, "device id") };
}

async function changeShadow(gate: ShadowGate, { ownership }: Services, op: ShadowOp, request: ChangeRequest, reply: FastifyReply) {
  const device = deviceOf(request.params);
  const { "idempotency-key": idempotencyKey, "if-match": ifMatch } = request.headers;
  const wanted: ShadowRequest = {
    v: 1,
    id: idempotencyKey ?? randomUUID(),
    ...device,
    op,
    ...(op === "delete" ? {} : { state: request.body ?? {} }),
    ...(ifMatch === undefined ? {} : { ifVersion: versionOf(ifMatch) }),
  };
  const problem = shadowRequestProblem(wanted, gate.bounds);
  if (problem !== undefined) throw new ApiError("invalid-request", problem);
  if (Buffer.byteLength(JSON.stringify(wanted)) > MAX_SHADOW_UPDATE_BYTES)
    throw new ApiError("payload-too-large", `a change of a shadow has at most ${MAX_SHADOW_UPDATE_BYTES} bytes`);
  try {
    await gate.send(wanted);
  } catch (cause) {
    throw new ApiError("log-unavailable", "the log did not take the change", { cause, retryAfterMs: RETRY_AFTER_MS });
  }
  // It is in the log: from here on nothing that fails makes it undone.
  const key = deviceKey(device.tenant, device.deviceId);
  const path = `/v1/tenants/${[device.tenant, "devices", device.deviceId, "shadow", "requests", wanted.id].map(encodeURIComponent).join("/")}`;
  const asked = await ownership.ask(
    request,
    { partitionKey: key, store: STORES.shadows, path: `${path}?waitMs=${APPLIED_WAIT_MS}` },
    (reader) => appliedRow(reader, key, wanted.id, APPLIED_WAIT_MS),
  );
  if (asked?.kind === "local" && asked.value !== undefined) return changeAnswer(asked.value, device, wanted.id);
  // 404: not applied within the time; 503: its task is moving
  if (asked?.kind === "remote" && asked.answer.status !== 404 && asked.answer.status !== 503) return sendAnswer(reply, asked.answer);
  reply.code(202).header("location", path);
  return { id: wanted.id, outcome: "accepted" };
}

/** The row as soon as it knows the request; undefined when it does not in time. Rejects as the reader does. */
async function appliedRow(reader: StoreReader, key: string, id: string, waitMs: number): Promise<ShadowRowShape | undefined> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const row = (await reader.get(STORES.shadows, key)) as ShadowRowShape | undefined;
    if (row?.results.some((result) => result.id === id) === true) return row;
    if (performance.now() >= deadline) return undefined;
    await delay(LOOK_MS);
  }
}

/** Throws ApiError for a change that was not made. */
function changeAnswer(row: ShadowRowShape, { tenant, deviceId }: DeviceName, id: string): object {
  const result = row.results.find((candidate) => candidate.id === id);
  if (result === undefined) throw new Error("the row knows the request");
  const { outcome, version } = result;
  if (outcome === "conflict") throw new ApiError("version-conflict", `the shadow's version was ${version}`);
  if (outcome === "too-large") throw new ApiError("payload-too-large", "the desired state would be over its limit");
  return { id, outcome, version, shadow: row.document(tenant, deviceId) ?? null };
}

/** Of an ETag as GET gives it, or the number alone. Throws ApiError `invalid-request`. */
function versionOf(ifMatch: string): number {
  const version = /^(?:"(\d{1,15})"|(\d{1,15}))$/.exec(ifMatch.trim());
  if (version === null) throw new ApiError("invalid-request", 'If-Match must be one version, as in "7"');
  return Number(version[1] ?? version[2]);
}
