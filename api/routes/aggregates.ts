/** `GET …/devices/{id}/aggregates`: the last closed windows of a device. */
import type { FastifyInstance } from "fastify";
import { type AggregateRecord, STORES } from "../../processors/formats/records.ts";
import type { Queries } from "../../runtime/queries.ts";
import { ApiError } from "../errors.ts";
import type { Device } from "../ownership.ts";
import { scanPage } from "../page.ts";
import { DEVICE_PARAMS, type DeviceParams, LIMIT, parseTime } from "../parameters.ts";
import type { Services } from "../route.ts";

/** Rows of one device's ring that are read; the ring's own bound (state) is below it. */
const MAX_RING_ROWS = 10_000;

interface AggregatesQuery {
  readonly from?: string;
  readonly to?: string;
  readonly sizeMs?: number;
  readonly limit: number;
}

const TIME = { type: "string", minLength: 1, maxLength: 40 } as const;

export function aggregateRoutes(app: FastifyInstance, { options, ownership }: Services): void {
  app.get<{ Params: DeviceParams; Querystring: AggregatesQuery }>(
    "/v1/tenants/:tenant/devices/:id/aggregates",
    {
      schema: {
        params: DEVICE_PARAMS,
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            from: { ...TIME, description: "Windows that start at or after it: epoch ms or ISO-8601" },
            to: { ...TIME, description: "Windows that start before it: epoch ms or ISO-8601" },
            sizeMs: { type: "integer", minimum: 1, description: "Windows of this size only" },
            limit: LIMIT,
          },
        },
      },
      config: {
        operation: {
          tag: "devices",
          summary: "Closed windows of a device, oldest first",
          description: "The newest `limit` in the range; with `truncated: true`, ask again with `to` set to the first one's start.",
          answers: "AggregateList",
          problems: [404, 503],
        },
      },
    },
    (request, reply) =>
      ownership.answer(request, reply, async (device) => {
        const { from, to, sizeMs, limit } = request.query;
        const fromMs = from === undefined ? -Infinity : parseTime(from, "from");
        const toMs = to === undefined ? Infinity : parseTime(to, "to");
        if (fromMs > toMs) throw new ApiError("invalid-request", "from is after to");
        const windows = await windowsOf(options.queries, device, sizeMs);
        const inRange = windows.filter(({ window }) => window.start >= fromMs && window.start < toMs);
        return { aggregates: inRange.slice(-limit), truncated: inRange.length > limit };
      }),
  );
}

/** By start, then size. Throws ApiError `device-unknown` when there is neither a window nor a device. */
async function windowsOf(queries: Queries, device: Device, sizeMs: number | undefined): Promise<AggregateRecord[]> {
  const prefix = sizeMs === undefined ? `${device.key}|` : `${device.key}|${sizeMs}|`;
  const { items } = await scanPage(queries, {
    store: STORES.aggregateHistory,
    prefix,
    after: undefined,
    limit: MAX_RING_ROWS,
    filtered: true,
    toItem: (row) => row.value as AggregateRecord,
    cursorOf: (key) => key,
  });
  if (items.length === 0 && (await queries.get(STORES.deviceState, device.key)) === undefined) {
    throw new ApiError("device-unknown", `nothing was ever received of device "${device.deviceId}"`);
  }
  return [...items].sort((a, b) => a.window.start - b.window.start || a.window.end - b.window.end);
}
