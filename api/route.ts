/** What route files share: the services they run on and what they declare for `/openapi.json`. */
import type { Access } from "./access.ts";
import type { Authenticate } from "./auth.ts";
import type { Group } from "./group.ts";
import type { ApiOptions } from "./options.ts";
import type { Ownership } from "./ownership.ts";

export interface Services {
  readonly options: ApiOptions;
  /** Undefined: there are no tokens. */
  readonly authenticate: Authenticate | undefined;
  readonly ownership: Ownership;
  readonly group: Group;
}

/** The part of an OpenAPI operation that cannot be told from the route's schema. */
export interface Operation {
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** Name in `components.schemas` of the answer's JSON; undefined where `produces` says another type. */
  readonly answers?: string;
  /** Of the answer when all is well. Default 200. */
  readonly status?: number;
  /** Media type of the 200 answer when it is not JSON. */
  readonly produces?: string;
  /** Statuses of problems it may answer, besides 400, 401, 403 and 500, which every route may. */
  readonly problems?: readonly number[];
}

declare module "fastify" {
  interface FastifyContextConfig {
    operation?: Operation;
    /** Answered without a token: health, and files that hold no data. */
    public?: boolean;
    /** Whom it is for. A route with `:tenant` in its path does not say; else the default is `admin`. */
    access?: Access;
  }
}
