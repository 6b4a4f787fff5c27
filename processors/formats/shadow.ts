/**
 * What is written on `iot.shadow.updates` and `iot.shadows`, and what a device sends and gets. Written by the HTTP API, the command
 * line, the ingress (for devices) and the shadow processor (processors/shadow). Source: docs/shadow.md.
 */
import { isCommandId, isCommandTarget } from "./commands.ts";
import { isJsonObject, type Json, type JsonObject, type Times } from "./merge-patch.ts";

export const SHADOW_TOPICS = { updates: "iot.shadow.updates", documents: "iot.shadows" } as const;

/** Devices' topics end in these: `t/{tenant}/d/{id}/shadow/reported` and so on. */
export const SHADOW_DOORS = {
  reported: "shadow/reported",
  get: "shadow/get",
  delta: "shadow/delta",
  rejected: "shadow/rejected",
} as const;

/** Headers of a record of `iot.shadows`: why it was written. UTF-8. */
export const SHADOW_HEADERS = {
  /** Id of the request that it is the outcome of, and what became of it (ShadowOutcome). */
  request: "shadow.request",
  outcome: "shadow.outcome",
  /** The device asked. */
  asked: "shadow.asked",
  /** On a record without a value: the version that the shadow has nevertheless, in digits. */
  version: "shadow.version",
  /** A report was refused: its code, and the words for it, which hold nothing of the report. Its `mqtt.correlation` is beside them. */
  rejected: "shadow.rejected",
  rejectedMessage: "shadow.rejected.message",
} as const;

/** The value of a record of `iot.shadows` (JSON), and what HTTP answers; its key is `tenant|deviceId`. No value: there is no shadow (any more). */
export interface ShadowDocument {
  readonly v: 1;
  readonly tenant: string;
  readonly deviceId: string;
  /** Goes up by one with each change of the shadow, and never back: not even when it is deleted and made anew. */
  readonly version: number;
  readonly desired: JsonObject;
  readonly reported: JsonObject;
  /** `desired` without what `reported` says already; absent when the device is as desired. */
  readonly delta?: JsonObject;
  /** When each value was last changed. */
  readonly metadata: { readonly desired: Times; readonly reported: Times };
  /** Epoch ms of the last change. */
  readonly ts: number;
}

export const SHADOW_OPS = ["patch", "replace", "delete"] as const;
export type ShadowOp = (typeof SHADOW_OPS)[number];

/** The value of a record of `iot.shadow.updates` that did not come over MQTT (JSON): what people want of a device. */
export interface ShadowRequest {
  readonly v: 1;
  /** Given by who asks; the same id for the same device again is the same request, among its last MAX_RESULTS. */
  readonly id: string;
  readonly tenant: string;
  readonly deviceId: string;
  /** Of the desired state: merge `state` into it (RFC 7396), or make it `state`. `delete`: the whole shadow goes. */
  readonly op: ShadowOp;
  readonly state?: JsonObject;
  /** Only if the shadow has this version; 0: only if there never was one. */
  readonly ifVersion?: number;
}

/** What a device publishes on `.../shadow/reported`: a merge patch of what it reported so far. */
export interface ShadowReport {
  readonly state: JsonObject;
  /** The same id again is the same report (MQTT may deliver twice). */
  readonly id?: string;
}

/** `conflict`: the version is another one. `too-large`: the state would be over a limit. Neither changes anything. */
export type ShadowOutcome = "applied" | "conflict" | "too-large";

/** What became of a request or report that has an id. */
export interface ShadowResult {
  readonly id: string;
  readonly outcome: ShadowOutcome;
  /** Of the shadow after it. */
  readonly version: number;
}

/** What a device is told where there is no shadow: never kept. */
export function emptyShadow(tenant: string, deviceId: string, version: number, ts: number): ShadowDocument {
  return { v: 1, tenant, deviceId, version, desired: {}, reported: {}, metadata: { desired: {}, reported: {} }, ts };
}

/** What of a row of the store `shadows` others read. */
export interface ShadowRowShape {
  readonly version: number;
  /** False: it was deleted; its version stays. */
  readonly exists: boolean;
  /** Newest last. */
  readonly results: readonly ShadowResult[];
  /** Undefined when there is none. */
  document(tenant: string, deviceId: string): ShadowDocument | undefined;
}

/** Results that a shadow remembers, and so the ids that it knows again. */
export const MAX_RESULTS = 32;
/** Of an update's bytes: with names and quotes some times what a state may have. */
export const MAX_SHADOW_UPDATE_BYTES = 32 * 1024;
const MAX_NAME = 128;

export interface ShadowBounds {
  /** Of the desired state as JSON, and as much again of the reported one. */
  readonly maxBytes: number;
  /** Objects and arrays within each other, the state itself the first. */
  readonly maxDepth: number;
  /** Names in one state: each has a time in the metadata. */
  readonly maxNames: number;
}

/** As AWS has them (8 KiB, depth 8), and names enough for that. */
export const SHADOW_BOUNDS: ShadowBounds = { maxBytes: 8 * 1024, maxDepth: 8, maxNames: 500 };

const FIELDS: ReadonlySet<string> = new Set(["v", "id", "tenant", "deviceId", "op", "state", "ifVersion"]);
const REPORT_FIELDS: ReadonlySet<string> = new Set(["state", "id"]);

/** Undefined when `value` is a request; else what is wrong, naming the field. */
export function shadowRequestProblem(value: unknown, bounds: ShadowBounds): string | undefined {
  if (!isJsonObject(value)) return "must be an object";
  const extra = Object.keys(value).find((field) => !FIELDS.has(field));
  if (extra !== undefined) return named("unknown field", extra);
  const { v, id, tenant, deviceId, op, state, ifVersion } = value;
  if (v !== 1) return "v must be 1";
  if (!isCommandId(id)) return 'id must be 1 to 128 letters, digits, ".", "_", ":" and "-"';
  if (!isCommandTarget(tenant)) return 'tenant must be one topic level without "|" and wildcards, at most 256 bytes';
  if (!isCommandTarget(deviceId)) return 'deviceId must be one topic level without "|" and wildcards, at most 256 bytes';
  if (!SHADOW_OPS.includes(op as ShadowOp)) return `op must be ${SHADOW_OPS.join(", ")}`;
  if (ifVersion !== undefined && !(Number.isSafeInteger(ifVersion) && (ifVersion as number) >= 0)) return "ifVersion must be a version";
  if ((op === "delete") !== (state === undefined)) return op === "delete" ? "state does not go with delete" : "state is missing";
  return state === undefined ? undefined : stateProblem(state, bounds);
}

/** As shadowRequestProblem(), of a ShadowReport. */
export function shadowReportProblem(value: unknown, bounds: ShadowBounds): string | undefined {
  if (!isJsonObject(value)) return "must be an object";
  const extra = Object.keys(value).find((field) => !REPORT_FIELDS.has(field));
  if (extra !== undefined) return named("unknown field", extra);
  if (value.id !== undefined && !isCommandId(value.id)) return 'id must be 1 to 128 letters, digits, ".", "_", ":" and "-"';
  if (value.state === undefined) return "state is missing";
  return stateProblem(value.state, bounds);
}

/** What is wrong with a state, or with a patch of one; undefined for nothing. A patch may be longer than a state: it may take away. */
export function stateProblem(state: unknown, { maxDepth, maxNames }: ShadowBounds): string | undefined {
  if (!isJsonObject(state)) return "state must be an object";
  const left = { names: maxNames };
  return valueProblem(state, maxDepth, left) ?? (left.names < 0 ? `state has more than ${maxNames} names` : undefined);
}

/** Whether a state is within its bounds. Its depth and names are those of patches that were within them. */
export function fitsBounds(state: JsonObject, { maxBytes, maxNames }: ShadowBounds): boolean {
  return Buffer.byteLength(JSON.stringify(state)) <= maxBytes && namesIn(state) <= maxNames;
}

function valueProblem(value: Json, depthLeft: number, left: { names: number }): string | undefined {
  if (typeof value === "string") return value.isWellFormed() ? undefined : "state holds text that is not well-formed Unicode";
  // 1e400 is JSON, and infinite
  if (typeof value === "number") return Number.isFinite(value) ? undefined : "state holds a number that is too large";
  if (typeof value !== "object" || value === null) return undefined;
  if (depthLeft === 0) return "state is too deep";
  for (const [name, inner] of Object.entries(value as JsonObject)) {
    if (!Array.isArray(value)) {
      if (!isName(name)) return named("state has a name that cannot be one", name);
      if (--left.names < 0) return undefined;
    }
    const problem = valueProblem(inner, depthLeft - 1, left);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Says of which name; a name is from outside, and comes last. */
function named(problem: string, name: string): string {
  return `${problem}${BEFORE_NAME}${name.slice(0, 50)}"`;
}

const BEFORE_NAME = ': "';

/** A problem as it is told where nothing of the report may show. */
export function withoutName(problem: string): string {
  const at = problem.indexOf(BEFORE_NAME);
  return at === -1 ? problem : problem.slice(0, at);
}

/** `__proto__` is an object's own name in JSON only; a backslash: see processors/backslash-keys.ts. */
function isName(name: string): boolean {
  return name !== "" && name.length <= MAX_NAME && name !== "__proto__" && name.isWellFormed() && !/[\\\u0000-\u001f\u007f]/.test(name);
}

function namesIn(value: Json): number {
  if (typeof value !== "object" || value === null) return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value as JsonObject).reduce((sum: number, inner) => sum + namesIn(inner), own);
}
