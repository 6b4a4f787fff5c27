/** Two tenants' rows, and tokens for them. What is of `beta` has SECRET in it, so that it shows wherever it gets out. */
import { channel } from "node:diagnostics_channel";
import type { TestContext } from "node:test";
import type { FastifyInstance, RouteOptions } from "fastify";
import { tokenDigest } from "../../../../api/auth.ts";
import type { ApiToken, Permission } from "../../../../api/grant.ts";
import { STORES } from "../../../../processors/formats/records.ts";
import { type ApiUnderTest, apiOverFakes } from "./api.ts";
import type { FakeQueries } from "./fake-worker.ts";
import { aggregate, alert, deviceState, ledgerRow } from "./rows.ts";

export const SECRET = "of-beta-only";
/** In both tenants. */
export const DEVICE = "d1";

export function apiToken(token: string, tenants: "*" | readonly string[], ...permissions: Permission[]): ApiToken {
  return {
    name: token,
    digest: tokenDigest(token),
    tenants: tenants === "*" ? "*" : new Set(tenants),
    permissions: new Set(permissions),
  };
}

/** By name, which is the token too. */
export const TOKENS = {
  acme: apiToken("acme", ["acme"], "read", "command"),
  acmeReads: apiToken("acmeReads", ["acme"], "read"),
  acmeCommands: apiToken("acmeCommands", ["acme"], "command"),
  beta: apiToken("beta", ["beta"], "read", "command"),
  reader: apiToken("reader", "*", "read"),
  monitor: apiToken("monitor", [], "monitor"),
  admin: apiToken("admin", "*", "admin"),
} as const satisfies Record<string, ApiToken>;

export function bearer(token: keyof typeof TOKENS): { authorization: string } {
  return { authorization: `Bearer ${token}` };
}

export interface TwoTenants extends ApiUnderTest {
  /** Of the server itself, files too. */
  readonly routes: readonly RouteOptions[];
}

export function twoTenants(t: TestContext, options: Parameters<typeof apiOverFakes>[1] = {}): TwoTenants {
  const routes: RouteOptions[] = [];
  const created = (message: unknown): void => {
    const { fastify } = message as { fastify: FastifyInstance };
    fastify.addHook("onRoute", (route) => void routes.push(route));
  };
  const initialized = channel("fastify.initialization");
  initialized.subscribe(created);
  const commands = {
    expiresInMs: 60_000,
    send: () => Promise.resolve(),
    status: () => Promise.resolve(undefined),
    newest: () => Promise.resolve([]),
  };
  const api = apiOverFakes(t, { tokens: () => Object.values(TOKENS), commands, ...options });
  initialized.unsubscribe(created);
  putTenants(api.queries);
  return { ...api, routes };
}

function putTenants(queries: FakeQueries): void {
  queries.storeInfos = Object.values(STORES).map((name) => ({ name, kind: "key-value", changelog: true }));
  for (const [tenant, attribute] of [
    ["acme", "of acme"],
    ["beta", SECRET],
  ]) {
    const key = `${tenant}|${DEVICE}`;
    queries.put(STORES.deviceState, key, deviceState(DEVICE, { tenant, attributes: { owner: attribute } }));
    queries.put(STORES.ledger, key, { ...ledgerRow(DEVICE), tenant });
    queries.put(STORES.alerts, key, { active: [{ ...alert(DEVICE), tenant, message: attribute }], recent: [] });
    queries.put(STORES.aggregateHistory, `${key}|10000|0`, { ...aggregate(DEVICE, 0), tenant });
  }
  queries.put(STORES.deviceState, `beta|${SECRET}`, deviceState(SECRET, { tenant: "beta" }));
}
