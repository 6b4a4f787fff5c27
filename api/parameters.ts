/** Path and query parameters: their JSON schemas (validation and OpenAPI) and what a schema cannot say. */
import { ApiError } from "./errors.ts";
import { isDotSegment } from "./peer-path.ts";

/** Same bound as the key's: processors/formats/names.ts. */
const MAX_ID_BYTES = 256;
export const MAX_PAGE = 1000;

export interface TenantParams {
  readonly tenant: string;
}

export interface DeviceParams extends TenantParams {
  readonly id: string;
}

const ID = { type: "string", minLength: 1, maxLength: MAX_ID_BYTES } as const;

export const TENANT_PARAMS = { type: "object", required: ["tenant"], properties: { tenant: { ...ID, description: "Tenant" } } } as const;

export const DEVICE_PARAMS = {
  type: "object",
  required: ["tenant", "id"],
  properties: { tenant: { ...ID, description: "Tenant" }, id: { ...ID, description: "Device id, unique in its tenant" } },
} as const;

export const LIMIT = { type: "integer", minimum: 1, maximum: MAX_PAGE, default: 100, description: "How many at most" } as const;
export const SCOPE = {
  type: "string",
  enum: ["group", "local"],
  default: "group",
  description: "group: of all workers; local: of the worker that was asked only",
} as const;
export const PARTIAL = {
  type: "boolean",
  default: false,
  description: "Answer with what could be had when a worker cannot be asked, instead of 503",
} as const;
export const MAX_STALENESS = {
  type: "integer",
  minimum: 0,
  description:
    "How many ms an answer may be behind while its owner cannot be asked: then it comes from a copy, its age in x-sluice-staleness-ms. Default: not at all",
} as const;
export const COPIES_OF = {
  type: "string",
  pattern: "^\\d+_\\d+(,\\d+_\\d+)*$",
  maxLength: 8000,
  description: "With scope=local and maxStalenessMs: not the worker's own tasks, but its copies of these, by comma",
} as const;

export interface StalenessQuery {
  readonly maxStalenessMs?: number;
}

export const STALENESS_QUERY = { type: "object", additionalProperties: false, properties: { maxStalenessMs: MAX_STALENESS } } as const;

export const AFTER = { ...ID, description: "Go on after this one: the `next` of the page before" } as const;

/** Throws ApiError `invalid-request`; returns the id. */
export function checkId(id: string, name: string): string {
  if (/[|\u0000-\u001f\u007f]/.test(id)) throw new ApiError("invalid-request", `${name} must not hold "|" or control characters`);
  if (isDotSegment(id)) throw new ApiError("invalid-request", `${name} must not be "." or ".."`);
  if (!id.isWellFormed()) throw new ApiError("invalid-request", `${name} is not well-formed Unicode`);
  if (Buffer.byteLength(id) > MAX_ID_BYTES) throw new ApiError("invalid-request", `${name} is longer than ${MAX_ID_BYTES} bytes of UTF-8`);
  return id;
}

/** Epoch ms out of decimal digits or an ISO-8601 time; throws ApiError `invalid-request`. */
export function parseTime(text: string, name: string): number {
  const time = /^\d{1,15}$/.test(text) ? Number(text) : /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw new ApiError("invalid-request", `${name} is neither epoch milliseconds nor an ISO-8601 time`);
  return time;
}
