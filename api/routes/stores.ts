/** `GET /v1/stores…`: the rows of any store, committed. For people and programs that know the topology; not by tenant. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { rowCursor, type StoreInfo, type StoreRow } from "../../runtime/queries.ts";
import { ApiError } from "../errors.ts";
import type { Page } from "../page.ts";
import { LIMIT, MAX_STALENESS, parseTime } from "../parameters.ts";
import type { Services } from "../route.ts";
import { toJsonValue } from "../store-value.ts";
import { answerList, LIST_QUERY, type ListQuery } from "./list.ts";

/** Three ids of 256 bytes, or a cursor of a window's row. */
const MAX_KEY_LENGTH = 768;

const KEY = { type: "string", minLength: 1, maxLength: MAX_KEY_LENGTH } as const;
const STORE = { type: "string", minLength: 1, maxLength: 256, description: "Name of a store of the topology" } as const;
const TIME = { type: "string", minLength: 1, maxLength: 40 } as const;

const PARTITION_KEY = {
  ...KEY,
  description: "Key of the source record whose task has the row. Default: the key up to its second |, which is the device's",
} as const;

const STORE_PARAMS = { type: "object", required: ["store"], properties: { store: STORE } } as const;
const ROW_PARAMS = {
  type: "object",
  required: ["store", "key"],
  properties: { store: STORE, key: { ...KEY, description: "Key" } },
} as const;

interface StoreParams {
  readonly store: string;
}

interface RowParams extends StoreParams {
  readonly key: string;
}

interface RowQuery {
  readonly partitionKey?: string;
  readonly maxStalenessMs?: number;
}

interface WindowsQuery extends RowQuery {
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
}

interface RowsQuery extends ListQuery {
  readonly prefix?: string;
  readonly from?: string;
  readonly to?: string;
}

interface RowItem {
  readonly key: string;
  readonly windowStart?: number;
  readonly value: unknown;
}

export function storeRoutes(app: FastifyInstance, services: Services): void {
  const { queries } = services.options;

  app.get(
    "/v1/stores",
    { config: { access: "admin", operation: { tag: "stores", summary: "Stores of the topology, by name", answers: "StoreList" } } },
    () => ({ stores: queries.stores() }),
  );

  app.get<{ Params: StoreParams; Querystring: RowsQuery }>(
    "/v1/stores/:store",
    {
      schema: {
        params: STORE_PARAMS,
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            ...LIST_QUERY,
            after: { ...KEY, description: "Go on after this row: the `next` of the page before, opaque" },
            prefix: { ...KEY, description: "Only keys that begin with it" },
            from: { ...KEY, description: "Only keys from it on, by their UTF-8 bytes" },
            to: { ...KEY, description: "Only keys before it" },
          },
        },
      },
      config: {
        access: "admin",
        operation: {
          tag: "stores",
          summary: "Committed rows of a store, by key and window, of all workers",
          answers: "RowList",
          problems: [404, 503],
        },
      },
    },
    (request, reply) => listRows(services, request, reply),
  );

  app.get<{ Params: RowParams; Querystring: RowQuery }>(
    "/v1/stores/:store/:key",
    {
      schema: {
        params: ROW_PARAMS,
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: { partitionKey: PARTITION_KEY, maxStalenessMs: MAX_STALENESS },
        },
      },
      config: {
        access: "admin",
        operation: { tag: "stores", summary: "A committed row of a key-value store", answers: "StoreRow", problems: [404, 503] },
      },
    },
    (request, reply) => {
      const { store, key } = request.params;
      requireStore(services, store, "key-value");
      const place = placeOf(request);
      return services.ownership.answerFor(request, reply, place, async (reader) => {
        const value = await reader.get(store, key, place.partitionKey);
        if (value === undefined) throw new ApiError("row-unknown", `store "${store}" has no row of this key`);
        return { key, value: toJsonValue(store, value) };
      });
    },
  );

  app.get<{ Params: RowParams; Querystring: WindowsQuery }>(
    "/v1/stores/:store/:key/windows",
    {
      schema: {
        params: ROW_PARAMS,
        querystring: {
          type: "object",
          additionalProperties: false,
          properties: {
            from: { ...TIME, description: "Windows that start at or after it: epoch ms or ISO-8601" },
            to: { ...TIME, description: "Windows that start before it: epoch ms or ISO-8601" },
            limit: LIMIT,
            partitionKey: PARTITION_KEY,
            maxStalenessMs: MAX_STALENESS,
          },
        },
      },
      config: {
        access: "admin",
        operation: {
          tag: "stores",
          summary: "A key's committed windows, oldest first",
          description: "The oldest `limit` in the range; with `truncated: true`, ask again with `from` set to the last one's start plus 1.",
          answers: "WindowList",
          problems: [404, 503],
        },
      },
    },
    (request, reply) => {
      const { store, key } = request.params;
      const { limit } = request.query;
      requireStore(services, store, "window");
      const from = request.query.from === undefined ? 0 : parseTime(request.query.from, "from");
      const to = request.query.to === undefined ? Number.MAX_SAFE_INTEGER : parseTime(request.query.to, "to");
      if (from < 0 || to < 0) throw new ApiError("invalid-request", "windows start at or after 1970-01-01");
      const place = placeOf(request);
      return services.ownership.answerFor(request, reply, place, async (reader) => {
        const rows = await reader.windows(store, key, { from, to, limit: limit + 1 });
        return { windows: rows.slice(0, limit).map((row) => toItem(store, row)), truncated: rows.length > limit };
      });
    },
  );
}

function placeOf({ params, query }: FastifyRequest<{ Params: RowParams; Querystring: RowQuery }>): {
  partitionKey: string;
  store: string;
  maxStalenessMs?: number;
} {
  const partitionKey = query.partitionKey ?? params.key.split("|", 2).join("|");
  return { partitionKey, store: params.store, ...(query.maxStalenessMs === undefined ? {} : { maxStalenessMs: query.maxStalenessMs }) };
}

function requireStore({ options }: Services, name: string, kind?: StoreInfo["kind"]): void {
  const store = options.queries.stores().find((candidate) => candidate.name === name);
  if (store === undefined) throw new ApiError("store-unknown", `the topology has no store "${name}"`);
  if (kind !== undefined && store.kind !== kind)
    throw new ApiError(
      "invalid-request",
      `"${name}" is a ${store.kind} store: ${store.kind === "window" ? "ask for …/windows" : "it has no windows"}`,
    );
}

function listRows(
  services: Services,
  request: FastifyRequest<{ Params: StoreParams; Querystring: RowsQuery }>,
  reply: FastifyReply,
): Promise<unknown> {
  const { store } = request.params;
  const { prefix, from, to, after, limit } = request.query;
  requireStore(services, store);
  return answerList<RowItem>(services, request, reply, {
    field: "rows",
    store,
    local: async (rowsHere): Promise<Page<RowItem>> => {
      const bounds = Object.fromEntries(Object.entries({ prefix, from, to, after }).filter(([, value]) => value !== undefined));
      const rows = await rowsHere.scan({ ...bounds, limit });
      const last = rows.at(-1);
      return { items: rows.map((row) => toItem(store, row)), next: rows.length < limit || last === undefined ? null : rowCursor(last) };
    },
    keyOf: rowCursor,
    // A task that moved in between: both rows were committed, and nothing tells which was later.
    newer: (a) => a,
  });
}

function toItem(store: string, { key, windowStart, value }: StoreRow): RowItem {
  return { key, ...(windowStart === undefined ? {} : { windowStart }), value: toJsonValue(store, value) };
}
