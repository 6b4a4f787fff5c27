/** What the job needs from a schema registry before it can start. */
import type { RecordColumns } from "../topology/columns.ts";
import { registerAvroSerdes } from "./avro-serdes.ts";
import type { SchemaSource } from "./framing.ts";
import { jsonSerdes } from "./json-serdes.ts";
import type { OutputSerdes } from "./output-serdes.ts";
import { Registry } from "./registry.ts";
import { SchemaCache } from "./schema-cache.ts";
import type { JobSettings } from "./settings.ts";

export interface JobSerdes {
  readonly output: OutputSerdes;
  /** With a registry only: framed input is decoded by these, ... */
  readonly schemas?: SchemaSource;
  /** ... which the source fetches ahead of each batch. */
  readonly prepare?: (records: RecordColumns) => Promise<void> | undefined;
}

/** Registers the output schemas when the settings name a registry. RegistryError: unavailable, or a schema is refused. */
export async function prepareSerdes(settings: Pick<JobSettings, "schemaRegistry" | "topics">): Promise<JobSerdes> {
  const { schemaRegistry, topics } = settings;
  if (schemaRegistry === undefined) return { output: jsonSerdes };
  const registry = new Registry(schemaRegistry);
  const schemas = new SchemaCache(registry);
  const output = schemaRegistry.output === "avro" ? await registerAvroSerdes(registry, topics) : jsonSerdes;
  return { output, schemas, prepare: (records) => schemas.prepare(records) };
}
