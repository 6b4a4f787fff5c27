/** `GET /v1/stream`: output records as server-sent events, as they are committed. */
import type { FastifyInstance } from "fastify";
import { requireTenant, stillOpens } from "../access.ts";
import { ApiError } from "../errors.ts";
import { tenantsOf } from "../grant.ts";
import { AFTER, checkId } from "../parameters.ts";
import type { Services } from "../route.ts";
import { SECURITY_HEADERS } from "../security-headers.ts";
import type { StreamFilter } from "../stream/client.ts";
import { STREAM_TYPES, type StreamType } from "../stream/event.ts";
import { StreamHub } from "../stream/hub.ts";

interface StreamQuery {
  readonly tenant?: string;
  readonly device?: string;
  readonly types?: string;
  readonly sample?: number;
  readonly focus?: string;
}

const DESCRIPTION = `Events: \`normalized\`, \`aggregate\` and \`alert\` with the record as data and \`topic/partition/offset\` as id, of all
workers' partitions. A client that reads too slowly misses events; a \`dropped\` event says how many. The stream starts with what is
committed from now on: Last-Event-ID is not used, read the topics for a gapless view. Only events of the token's tenants come; a token that
is taken back ends its streams within 15 s.`;

export function streamRoutes(app: FastifyInstance, { options, authenticate }: Services): void {
  const hub = new StreamHub(options);
  // Before the server waits for open connections, or a stream would hold up the stop.
  app.addHook("preClose", () => {
    hub.close();
    return Promise.resolve();
  });

  app.get<{ Querystring: StreamQuery }>(
    "/v1/stream",
    {
      schema: {
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            tenant: { ...AFTER, description: "Only of this tenant" },
            device: { ...AFTER, description: "Only of this device; needs tenant" },
            types: { type: "string", maxLength: 100, description: `Some of ${STREAM_TYPES.join(",")}; default all` },
            sample: {
              type: "integer",
              minimum: 1,
              maximum: 100_000,
              description: "Normalized and aggregate events per second at most, spread evenly; alerts always come",
            },
            focus: { ...AFTER, description: "A device of the tenant that sampling leaves alone; needs tenant and sample" },
          },
        },
      },
      config: {
        access: "own-tenants",
        operation: { tag: "stream", summary: "Live events", description: DESCRIPTION, produces: "text/event-stream", problems: [503] },
      },
    },
    (request, reply) => {
      const filter = { ...toFilter(request.query), tenants: tenantsOf(request) };
      if (filter.tenant !== undefined) requireTenant(request.grant, filter.tenant);
      hub.checkRoom();
      reply.hijack();
      reply.raw.writeHead(200, {
        ...SECURITY_HEADERS,
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      });
      hub.add(reply.raw, filter, () => stillOpens(request, authenticate));
    },
  );
}

function toFilter({ tenant, device, types, sample, focus }: StreamQuery): Omit<StreamFilter, "tenants"> {
  for (const [name, id] of Object.entries({ tenant, device, focus })) if (id !== undefined) checkId(id, name);
  if (tenant === undefined && (device !== undefined || focus !== undefined)) {
    throw new ApiError("invalid-request", "device and focus need tenant: device ids are unique within a tenant only");
  }
  const wanted = types === undefined ? STREAM_TYPES : types.split(",").map(checkType);
  return { types: new Set(wanted), tenant, deviceId: device, sample, focus };
}

function checkType(name: string): StreamType {
  const type = STREAM_TYPES.find((known) => known === name);
  if (type === undefined) throw new ApiError("invalid-request", `types must be some of ${STREAM_TYPES.join(",")}`);
  return type;
}
