/** What a route asks of the caller's token. A route that says nothing is for admins: a new one is closed until it says whom it is for. */
import { isDeepStrictEqual } from "node:util";
import type { FastifyRequest, RouteOptions } from "fastify";
import type { Authenticate } from "./auth.ts";
import { ApiError } from "./errors.ts";
import { type Grant, type Permission, permits, reaches } from "./grant.ts";

/**
 * `any`: whoever has a token. `own-tenants`: `read`, and the route shows only what is of the caller's tenants (tenantsOf()).
 * `monitor`, `admin`: that permission. A route with `:tenant` in its path needs none of these: the tenant must be one of the caller's.
 */
export type Access = "any" | "own-tenants" | "monitor" | "admin";

type Route = Pick<RouteOptions, "method" | "url" | "config">;

/** Undefined: any token does. */
export function permissionFor({ method, url, config }: Route): Permission | undefined {
  if (isOfTenant(url)) return [method].flat().every((one) => one === "GET" || one === "HEAD") ? "read" : "command";
  const access = config?.access ?? "admin";
  if (access === "any") return undefined;
  return access === "own-tenants" ? "read" : access;
}

/** Throws ApiError `forbidden`. The tenant is the one that the handler gets: decoded once, by the router. */
export function authorize(request: FastifyRequest, grant: Grant): void {
  const { method, url, config } = request.routeOptions;
  // No route: only that is told.
  if (url === undefined) return;
  const wanted = permissionFor({ method, url, config });
  if (wanted !== undefined && !permits(grant, wanted)) throw forbidden(grant, `has no permission "${wanted}"`);
  if (!isOfTenant(url)) return;
  const { tenant } = request.params as { readonly tenant: string };
  if (!reaches(grant, tenant)) throw forbidden(grant, "does not open this tenant");
}

/** Throws ApiError `forbidden` when one of another tenant is asked for by name. */
export function requireTenant(grant: Grant | undefined, tenant: string): void {
  if (grant === undefined || !reaches(grant, tenant)) throw forbidden(grant, "does not open this tenant");
}

/** Whether the caller's token still opens what it did when the request came: for answers that go on. */
export function stillOpens({ headers, grant }: FastifyRequest, authenticate: Authenticate | undefined): boolean {
  if (authenticate === undefined) return true;
  try {
    const now = authenticate(headers.authorization);
    return permits(now, "read") && isDeepStrictEqual(now.tenants, grant?.tenants);
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}

function isOfTenant(url: string): boolean {
  return url.split("/").includes(":tenant");
}

function forbidden(grant: Grant | undefined, why: string): ApiError {
  return new ApiError("forbidden", `the token "${grant?.name ?? ""}" ${why}`);
}
