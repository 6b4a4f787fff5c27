import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { RegistryError } from "../../../processors/errors.ts";
import type { AvroDecoder } from "../../../processors/framing.ts";
import { jsonSerdes } from "../../../processors/json-serdes.ts";
import { prepareSerdes } from "../../../processors/prepare-serdes.ts";
import { SchemaCache, type SchemaLookup } from "../../../processors/schema-cache.ts";
import { jobSettingsSchema } from "../../../processors/settings.ts";
import { Job, KEY } from "./support/job.ts";

/** "Avro" whose bytes are JSON text. */
const jsonDecoder: AvroDecoder = { fromBuffer: (bytes) => JSON.parse(String(bytes)) as unknown };

class FakeRegistry implements SchemaLookup {
  readonly asked: number[] = [];
  failures = 0;
  find(id: number): Promise<AvroDecoder | undefined> {
    this.asked.push(id);
    if (this.failures-- > 0) return Promise.reject(new RegistryError("registry-unavailable", "away"));
    return Promise.resolve(id < 1_000 ? jsonDecoder : undefined);
  }
}

function framed(id: number, text: string): Buffer {
  const header = Buffer.alloc(5);
  header.writeInt32BE(id, 1);
  return Buffer.concat([header, Buffer.from(text)]);
}

async function pipe(job: Job, value: Buffer): Promise<void> {
  await job.driver.pipe("iot.telemetry.raw", { key: KEY, value, timestamp: 1_000 });
}

test("framed values are decoded with a schema that was fetched once, ahead; unframed JSON goes on as ever", async (t) => {
  const registry = new FakeRegistry();
  const schemas = new SchemaCache(registry);
  const job = await Job.start(t, {}, {}, { output: jsonSerdes, schemas, prepare: (records) => schemas.prepare(records) });
  await pipe(job, framed(7, '{"seq":1,"tempC":1}'));
  await pipe(job, framed(7, '{"seq":2,"tempC":2}'));
  job.send({ seq: 3, tempC: 3 });
  assert.deepEqual(
    job.normalized().map((record) => record.metrics.temperature_c),
    [1, 2, 3],
  );
  assert.deepEqual(registry.asked, [7]);
});

test("an unknown id, undecodable bytes and a value that is no record are dead-lettered; an unknown id is not asked for each time", async (t) => {
  const registry = new FakeRegistry();
  const schemas = new SchemaCache(registry);
  const job = await Job.start(t, {}, {}, { output: jsonSerdes, schemas, prepare: (records) => schemas.prepare(records) });
  for (const value of [framed(5_000, "{}"), framed(5_000, "{}"), framed(1, "{"), framed(1, "5")]) await pipe(job, value);
  assert.deepEqual(
    job.deadLetters().map((letter) => letter.reason),
    ["unknown-schema", "unknown-schema", "avro", "not-object"],
  );
  assert.deepEqual(registry.asked, [5_000, 1]);
});

test("a registry that is away for a moment is asked again; one that stays away stops the task instead of dead-lettering good records", async (t) => {
  const registry = new FakeRegistry();
  const schemas = new SchemaCache(registry);
  const job = await Job.start(t, {}, {}, { output: jsonSerdes, schemas, prepare: (records) => schemas.prepare(records) });
  registry.failures = 2;
  await pipe(job, framed(7, '{"seq":1,"tempC":1}'));
  assert.equal(job.normalized().length, 1);
  registry.failures = 100;
  await assert.rejects(pipe(job, framed(8, '{"seq":2,"tempC":1}')), { name: "RegistryError", code: "registry-unavailable" });
  assert.deepEqual(job.deadLetters(), []);
});

test("a registry that never answers is given up after schemaRegistry.timeoutMs", async (t) => {
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const settings = jobSettingsSchema.parse({ schemaRegistry: { url: `http://127.0.0.1:${port}`, timeoutMs: 50 } });
  await assert.rejects(prepareSerdes(settings), { name: "RegistryError", code: "registry-unavailable", message: /no answer within 50 ms/ });
});
