import { parse } from "yaml";
import type { ConfigIssue } from "./errors.ts";
import type { Leaf } from "./leaves.ts";

export type Tree = Record<string, unknown>;

/** Names with our prefix that are not settings: the tests' download folder. */
const NOT_SETTINGS = new Set(["SLUICE_CACHE"]);

/** Lays the variables over the file's tree, in place. Returns values that cannot be read and, as `unknown`, names that fit no setting. */
export function applyEnvironment(
  tree: Tree,
  leaves: readonly Leaf[],
  env: Readonly<Record<string, string | undefined>>,
): { issues: ConfigIssue[]; unknown: string[] } {
  const issues: ConfigIssue[] = [];
  for (const leaf of leaves) {
    const text = env[leaf.env];
    // An empty variable is an unset one: that is how compose files leave a setting out.
    if (text === undefined || text === "") continue;
    const value = read(text, leaf);
    if (value === undefined) issues.push({ path: leaf.env, message: `must be ${EXPECTED[leaf.kind]}` });
    else setPath(tree, leaf.path, value);
  }
  const known = new Set(leaves.map((leaf) => leaf.env));
  const unknown = Object.keys(env).filter((name) => name.startsWith("SLUICE_") && !known.has(name) && !NOT_SETTINGS.has(name));
  return { issues, unknown };
}

const EXPECTED = {
  text: "text",
  number: "a number",
  boolean: "true or false",
  list: "a list with commas",
  structure: "YAML or JSON",
} as const;

/** Undefined when the text is not of the leaf's kind. */
function read(text: string, leaf: Leaf): unknown {
  switch (leaf.kind) {
    case "text":
      return text;
    case "number":
      return text.trim() === "" || Number.isNaN(Number(text)) ? undefined : Number(text);
    case "boolean":
      return text === "true" ? true : text === "false" ? false : undefined;
    case "list":
      return text.split(",").map((part) => part.trim());
    case "structure":
      try {
        return parse(text) as unknown;
      } catch {
        return undefined;
      }
  }
}

function setPath(tree: Tree, path: readonly string[], value: unknown): void {
  let at = tree;
  for (const key of path.slice(0, -1)) {
    const next = at[key];
    // Something else in a section's place is left for the schema to refuse.
    if (next !== undefined && next !== null && typeof next !== "object") return;
    at = (at[key] ??= {}) as Tree;
  }
  at[path[path.length - 1]] = value;
}
