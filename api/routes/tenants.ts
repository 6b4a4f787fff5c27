/** `GET /v1/tenants`: which tenants have devices, so that a person needs not know them. */
import type { FastifyInstance } from "fastify";
import { STORES } from "../../processors/formats/records.ts";
import { deviceKey, parseDeviceKey } from "../../processors/formats/names.ts";
import type { RowsHere } from "../../runtime/queries.ts";
import { tenantsOf } from "../grant.ts";
import { compareBytes, type Page } from "../page.ts";
import { checkId } from "../parameters.ts";
import type { Services } from "../route.ts";
import { answerList, LIST_QUERY, type ListQuery } from "./list.ts";

interface TenantItem {
  readonly tenant: string;
}

export function tenantRoutes(app: FastifyInstance, services: Services): void {
  app.get<{ Querystring: ListQuery }>(
    "/v1/tenants",
    {
      schema: { querystring: { type: "object", additionalProperties: false, properties: LIST_QUERY } },
      config: {
        access: "own-tenants",
        operation: {
          tag: "devices",
          summary: "Tenants that have devices, by name: those of the token",
          answers: "TenantList",
          problems: [503],
        },
      },
    },
    (request, reply) => {
      const { after, limit } = request.query;
      if (after !== undefined) checkId(after, "after");
      return answerList<TenantItem>(services, request, reply, {
        field: "tenants",
        store: STORES.deviceState,
        local: (rows) => {
          const own = tenantsOf(request);
          return own === "*" ? localTenants(rows, after, limit) : someTenants(rows, own, after, limit);
        },
        keyOf: (item) => item.tenant,
        newer: (a) => a,
      });
    },
  );
}

/** One row a tenant: the next tenant starts after every `tenant|...`, and "}" is the byte after "|". */
async function localTenants(rows: RowsHere, after: string | undefined, limit: number): Promise<Page<TenantItem>> {
  const items: TenantItem[] = [];
  let last = after;
  while (items.length < limit) {
    const [row] = await rows.scan({ limit: 1, ...(last === undefined ? {} : { after: `${last}}` }) });
    const tenant = row === undefined ? undefined : parseDeviceKey(row.key)?.tenant;
    if (tenant === undefined) return { items, next: null };
    items.push({ tenant });
    last = tenant;
  }
  return { items, next: last ?? null };
}

/** Those of `own` that have a device here; asks for each, so nothing of another tenant is read. */
async function someTenants(rows: RowsHere, own: ReadonlySet<string>, after: string | undefined, limit: number): Promise<Page<TenantItem>> {
  const items: TenantItem[] = [];
  for (const tenant of [...own].sort(compareBytes)) {
    if (after !== undefined && compareBytes(tenant, after) <= 0) continue;
    if (items.length === limit) return { items, next: items[limit - 1].tenant };
    const found = await rows.scan({ prefix: deviceKey(tenant, ""), limit: 1 });
    if (found.length > 0) items.push({ tenant });
  }
  return { items, next: null };
}
