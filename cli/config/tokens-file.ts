/**
 * The file of `http.tokensFile`: YAML or JSON, `tokens:` with a list of `{ name, token, tenants, permissions }`. `token` is the text that
 * callers send, or `sha256:` and the hex SHA-256 of it, so that the file need hold no secret.
 */
import { readFileSync, statSync } from "node:fs";
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { tokenDigest } from "../../api/auth.ts";
import { type ApiToken, PERMISSIONS } from "../../api/grant.ts";
import { isId } from "../../bridge/device-topic.ts";
import { ConfigError, type ConfigIssue } from "./errors.ts";
import { MIN_TOKEN_LENGTH } from "./sections.ts";

/** Each request is compared with each token, in 0.1 µs or so. */
const MAX_TOKENS = 1_000;
const MAX_TENANTS = 1_000;
/** Above that many tokens with all their tenants' names it is no file of tokens. Bytes. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const DIGEST = "sha256:";

const tokenSchema = z.string().superRefine((token, context) => {
  const wrong = (message: string): void => context.addIssue({ code: "custom", message });
  if (token.startsWith(DIGEST)) {
    if (!/^[0-9a-f]{64}$/i.test(token.slice(DIGEST.length))) wrong(`must have 64 hex digits behind "${DIGEST}"`);
  } else if (token.length < MIN_TOKEN_LENGTH) wrong(`must have at least ${MIN_TOKEN_LENGTH} characters`);
  // the header's own alphabet; anything else would never match
  else if (!/^[\x21-\x7e]+$/.test(token)) wrong("must be printable ASCII without spaces");
});

const tenantSchema = z.string().superRefine((tenant, context) => {
  const wrong = (message: string): void => context.addIssue({ code: "custom", message });
  if (tenant === "*") wrong('all tenants are written tenants: "*", not in a list');
  else if (!isId(tenant) || /[\u0000-\u001f\u007f]/.test(tenant) || !tenant.isWellFormed())
    wrong('must be 1 to 256 bytes without "|" and control characters');
});

const entrySchema = z
  .strictObject({
    name: z.string().min(1).max(100),
    token: tokenSchema,
    tenants: z.union([z.literal("*"), z.array(tenantSchema).max(MAX_TENANTS)]).default([]),
    permissions: z.array(z.enum(PERMISSIONS)).min(1),
  })
  .superRefine(({ tenants, permissions }, context) => {
    const wrong = (message: string): void => context.addIssue({ code: "custom", path: ["tenants"], message });
    if (permissions.includes("admin")) {
      if (tenants !== "*") wrong('must be "*" with the permission admin, which opens the stores with all tenants\' rows');
    } else if (tenants.length === 0 && permissions.some((one) => one !== "monitor")) wrong("is missing: read and command are for tenants");
  });

const fileSchema = z.strictObject({ tokens: z.array(entrySchema).max(MAX_TOKENS) }).superRefine(({ tokens }, context) => {
  const names = new Map<string, number>();
  const digests = new Map<string, number>();
  for (const [at, { name, token }] of tokens.entries()) {
    const wrong = (key: string, first: number): void =>
      context.addIssue({ code: "custom", path: ["tokens", at, key], message: `is that of tokens[${first}] too` });
    const digest = digestOf(token).toString("hex");
    const [sameName, sameToken] = [names.get(name), digests.get(digest)];
    if (sameName !== undefined) wrong("name", sameName);
    if (sameToken !== undefined) wrong("token", sameToken);
    names.set(name, at);
    digests.set(digest, at);
  }
});

/** @throws ConfigError; it names places in the file, and nothing of what stands there, since that may be a token */
export function parseTokensFile(file: string): ApiToken[] {
  const parsed = fileSchema.safeParse(readTree(file));
  if (!parsed.success) throw new ConfigError(file, parsed.error.issues.flatMap(toIssues));
  return parsed.data.tokens.map(({ name, token, tenants, permissions }) => ({
    name,
    digest: digestOf(token),
    tenants: tenants === "*" ? "*" : new Set(tenants),
    permissions: new Set(permissions),
  }));
}

function digestOf(token: string): Buffer {
  return token.startsWith(DIGEST) ? Buffer.from(token.slice(DIGEST.length), "hex") : tokenDigest(token);
}

function readTree(file: string): unknown {
  let text: string;
  try {
    if (statSync(file).size > MAX_FILE_BYTES) throw new Error(`holds more than ${MAX_FILE_BYTES} bytes`);
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(file, [{ path: "", message: error instanceof Error ? error.message : String(error) }], error);
  }
  const lineCounter = new LineCounter();
  // the parser's own messages quote the line
  const document = parseDocument(text, { prettyErrors: false, lineCounter });
  if (document.errors.length === 0) {
    try {
      return document.toJS();
    } catch (error) {
      throw new ConfigError(file, [{ path: "", message: "aliases unfold to too much" }], error);
    }
  }
  const issues = document.errors.map(({ code, pos }) => ({
    path: "",
    message: `line ${lineCounter.linePos(pos[0]).line} is no YAML (${code})`,
  }));
  throw new ConfigError(file, issues);
}

/** `tokens[2].permissions[0]: ...`, without values and without keys that we do not know. */
function toIssues(issue: z.core.$ZodIssue): ConfigIssue[] {
  if (issue.code === "invalid_union") {
    const ofList = issue.errors.at(-1) ?? [];
    if (ofList.some(({ path }) => path.length > 0))
      return ofList.flatMap((one) => toIssues({ ...one, path: [...issue.path, ...one.path] }));
  }
  const path = issue.path.map((part, at) => (typeof part === "number" ? `[${part}]` : `${at === 0 ? "" : "."}${String(part)}`)).join("");
  if (issue.code === "unrecognized_keys") {
    const known = issue.path.length === 0 ? "tokens" : Object.keys(entrySchema.shape).join(", ");
    return [{ path, message: `holds something else than ${known}` }];
  }
  if (issue.code === "invalid_union") return [{ path, message: 'must be "*" or a list of tenants' }];
  return [{ path, message: issue.message }];
}
