/** `GET …/devices/{id}/aggregates`: the last closed windows of a device. */
import type { FastifyInstance } from "fastify";
import { type AggregateRecord, STORES } from "../../processors/formats/records.ts";
import type { RowsHere, StoreReader } from "../../runtime/queries.ts";
import { ApiError } from "../errors.ts";
import type { Device } from "../ownership.ts";
import { scanPage } from "../page.ts";
import { DEVICE_PARAMS, type DeviceParams, LIMIT, MAX_STALENESS, parseTime, type StalenessQuery } from "../parameters.ts";
import type { Services } from "../route.ts";

/** Rows of one device's ring that are read; the ring's own bound (state) is below it. */
const MAX_RING_ROWS = 10_000;

interface AggregatesQuery extends StalenessQuery {
  readonly from?: string;
  readonly to?: string;
  readonly sizeMs?: number;
  readonly limit: number;
}

const TIME = { type: "string", minLength: 1, maxLength: 40 } as const;

export function aggregateRoutes(app: FastifyInstance, { ownership }: Services): void {
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
            maxStalenessMs: MAX_STALENESS,
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
      ownership.answer(request, reply, async (device, reader) => {
        const { from, to, sizeMs, limit } = request.query;
        const fromMs = from === undefined ? -Infinity : parseTime(from, "from");
        const toMs = to === undefined ? Infinity : parseTime(to, "to");
        if (fromMs > toMs) throw new ApiError("invalid-request", "from is after to");
        const windows = await windowsOf(reader, device, sizeMs);
        const inRange = windows.filter(({ window }) => window.start >= fromMs && window.start < toMs);
        return { aggregates: inRange.slice(-limit), truncated: inRange.length > limit };
      }),
  );
}

/** By start, then size. Throws ApiError `device-unknown` when there is neither a window nor a device. */
async function windowsOf(reader: StoreReader, device: Device, sizeMs: number | undefined): Promise<AggregateRecord[]> {
  const prefix = sizeMs === undefined ? `${device.key}|` : `${device.key}|${sizeMs}|`;
  const scan: RowsHere["scan"] = (options) => reader.scan(STORES.aggregateHistory, { ...options, partitionKey: device.key });
  const { items } = await scanPage(
    { scan },
    {
      prefix,
      after: undefined,
      limit: MAX_RING_ROWS,
      filtered: true,
      toItem: (row) => row.value as AggregateRecord,
      cursorOf: (key) => key,
    },
  );
  if (items.length === 0 && (await reader.get(STORES.deviceState, device.key)) === undefined) {
    throw new ApiError("device-unknown", `nothing was ever received of device "${device.deviceId}"`);
  }
  return [...items].sort((a, b) => a.window.start - b.window.start || a.window.end - b.window.end);
}
