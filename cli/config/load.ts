import { readFileSync } from "node:fs";
import { parseDocument } from "yaml";
import type { z } from "zod";
import { minMemoryMiB } from "../../runtime/memory-budget.ts";
import { jobSettingsSchema } from "../../processors/settings.ts";
import { applyEnvironment, type Tree } from "./environment.ts";
import { ConfigError, type ConfigIssue } from "./errors.ts";
import { leavesOf } from "./leaves.ts";
import { configSchema, type Config } from "./schema.ts";
import { readSecretFiles, secretsInFile } from "./secrets.ts";

export interface LoadedConfig {
  readonly config: Config;
  /** `SLUICE_` variables that name no setting: worth a warning (a typing error?), no reason to stop (Kubernetes sets some). */
  readonly unknownVariables: readonly string[];
}

/**
 * Reads the file (none: defaults), lays the environment over it, reads secrets from their files, and checks everything.
 * @param defaults a command's own, under the file's
 * @throws ConfigError naming every wrong key
 */
export function loadConfig(file: string | undefined, env: Readonly<Record<string, string | undefined>>, defaults: Tree = {}): LoadedConfig {
  const source = file ?? "(environment and defaults)";
  const given = file === undefined ? {} : readTree(file);
  const issues = secretsInFile(given);
  const tree = merged(defaults, given);
  const environment = applyEnvironment(tree, leavesOf(configSchema), env);
  issues.push(...environment.issues, ...readSecretFiles(tree));
  const parsed = configSchema.safeParse(tree);
  if (!parsed.success) issues.push(...parsed.error.issues.flatMap(toIssues));
  else issues.push(...jobIssues(parsed.data), ...memoryIssues(parsed.data));
  if (issues.length > 0 || !parsed.success) throw new ConfigError(source, issues);
  return { config: parsed.data, unknownVariables: environment.unknown };
}

function readTree(file: string): Tree {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(file, [{ path: "", message: error instanceof Error ? error.message : String(error) }], error);
  }
  const document = parseDocument(text);
  if (document.errors.length > 0)
    throw new ConfigError(
      file,
      document.errors.map((error) => ({ path: "", message: error.message })),
    );
  // maxAliasCount (100) keeps a nested-alias bomb from unfolding.
  const tree: unknown = document.toJS() ?? {};
  if (!isSection(tree)) throw new ConfigError(file, [{ path: "", message: "must be a YAML mapping" }]);
  return withoutNulls(tree) as Tree;
}

/** `instanceId:` with nothing behind it is how YAML leaves a setting out. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutNulls(inner)]));
}

/** Sections are merged key by key; lists and values of the file replace. */
function merged(under: Tree, over: Tree): Tree {
  const result: Tree = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = result[key];
    result[key] = isSection(below) && isSection(value) ? merged(below, value) : value;
  }
  return result;
}

function isSection(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Rules of the job that go across its sections; composing its shape left them behind. */
function jobIssues(config: Config): ConfigIssue[] {
  const { schemaRegistry: _, ...job } = config;
  const checked = jobSettingsSchema.safeParse(job);
  return checked.success ? [] : checked.error.issues.flatMap(toIssues);
}

/** The ceiling must have room for the cache and the least of everything else. */
function memoryIssues({ processing: { memoryMiB }, state: { cacheMiB } }: Config): ConfigIssue[] {
  const least = minMemoryMiB(cacheMiB);
  if (memoryMiB === undefined || memoryMiB >= least) return [];
  return [{ path: "processing.memoryMiB", message: `must be at least ${least} with state.cacheMiB ${cacheMiB}` }];
}

function toIssues(issue: z.core.$ZodIssue): ConfigIssue[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: pathText([...issue.path, key]), message: "is no setting" }));
  }
  const received = issue.code === "invalid_type" && issue.input === undefined ? "is missing" : issue.message;
  return [{ path: pathText(issue.path), message: received }];
}

/** `windows[0].sizeMs` */
function pathText(path: readonly PropertyKey[]): string {
  return path.map((part, index) => (typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${String(part)}`)).join("");
}
