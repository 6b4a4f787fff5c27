import { z } from "zod";

/** What a setting's text in an environment variable is read as. `structure`: YAML (a list of rules, for instance). */
export type LeafKind = "text" | "number" | "boolean" | "list" | "structure";

export interface Leaf {
  /** From the configuration's root. */
  readonly path: readonly string[];
  readonly kind: LeafKind;
  readonly env: string;
}

/** Every setting of a schema that an environment variable can name, found by walking it. */
export function leavesOf(schema: z.core.$ZodType, path: readonly string[] = []): Leaf[] {
  const bare = unwrap(schema);
  if (bare instanceof z.ZodObject) {
    return Object.entries(bare.shape as Record<string, z.core.$ZodType>).flatMap(([key, value]) => leavesOf(value, [...path, key]));
  }
  return [{ path, kind: kindOf(bare), env: envName(path) }];
}

/** `state.cacheMiB` is `SLUICE_STATE_CACHE_MIB`: words of camel case apart, MiB one word. */
export function envName(path: readonly string[]): string {
  const words = path.map((key) => key.replace("MiB", "Mib").replace(/([a-z0-9])([A-Z])/g, "$1_$2"));
  return `SLUICE_${words.join("_").toUpperCase()}`;
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let bare = schema;
  while (bare instanceof z.ZodOptional || bare instanceof z.ZodDefault || bare instanceof z.ZodPrefault) bare = bare.unwrap();
  return bare;
}

function kindOf(schema: z.core.$ZodType): LeafKind {
  if (schema instanceof z.ZodNumber) return "number";
  if (schema instanceof z.ZodBoolean) return "boolean";
  if (schema instanceof z.ZodLiteral) return typeof schema.value === "number" ? "number" : "text";
  if (schema instanceof z.ZodUnion) {
    const kinds = new Set(schema.options.map(kindOf));
    // of several kinds (a number or a word): YAML tells which
    return kinds.size === 1 ? [...kinds][0] : "structure";
  }
  if (schema instanceof z.ZodArray) return unwrap(schema.element) instanceof z.ZodString ? "list" : "structure";
  return schema instanceof z.ZodRecord ? "structure" : "text";
}
