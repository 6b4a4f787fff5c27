/** What a token opens: permissions, and tenants. Which of it a route asks for is told by the route (access.ts). */

/**
 * `read`: state and streams of its tenants. `command`: whatever changes something of its tenants. `monitor`: what is about the
 * deployment and no tenant (tasks, topology, metrics). `admin`: everything, the stores with all tenants' rows too.
 */
export const PERMISSIONS = ["read", "command", "monitor", "admin"] as const;
export type Permission = (typeof PERMISSIONS)[number];

export interface Grant {
  /** For people: it is named in refusals. */
  readonly name: string;
  /** Compared as they are: neither case nor Unicode form is folded, as nowhere else. */
  readonly tenants: "*" | ReadonlySet<string>;
  readonly permissions: ReadonlySet<Permission>;
}

export interface ApiToken extends Grant {
  /** SHA-256 of the token's UTF-8 text. */
  readonly digest: Buffer;
}

/** Of `http.token`, and of everybody where there is no token. */
export const FULL_GRANT: Grant = { name: "http.token", tenants: "*", permissions: new Set(PERMISSIONS) };

declare module "fastify" {
  interface FastifyRequest {
    /** Set before any handler runs, but for public routes. */
    grant: Grant | undefined;
  }
}

export function permits({ permissions }: Grant, wanted: Permission): boolean {
  return permissions.has(wanted) || permissions.has("admin");
}

export function reaches({ tenants }: Grant, tenant: string): boolean {
  return tenants === "*" || tenants.has(tenant);
}

/** Whose rows the caller may see; nobody's where it was not asked who it is. */
export function tenantsOf({ grant }: { readonly grant: Grant | undefined }): Grant["tenants"] {
  return grant?.tenants ?? new Set();
}
