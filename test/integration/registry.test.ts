/** Avro in and out against a real registry (Apicurio): schemas registered, read back, refused. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import confluent from "@kafkajs/confluent-schema-registry";
import { schemaText } from "../../processors/avro-serdes.ts";
import { DEFAULT_TOPICS } from "../../processors/formats/names.ts";
import { prepareSerdes } from "../../processors/prepare-serdes.ts";
import { jobSettingsSchema, type JobSettings } from "../../processors/settings.ts";
import { buildTelemetryTopology } from "../../processors/telemetry-topology.ts";
import { TopologyTestDriver } from "../../runtime/test-driver.ts";
import { ByteWriter } from "../../state/byte-writer.ts";
import { startRegistry } from "../support/registry.ts";

const { SchemaRegistry, SchemaType, COMPATIBILITY } = confluent;
const T0 = 1_767_225_600_000;
const cleanups: (() => Promise<void> | void)[] = [];
let url = "";

before(async () => {
  ({ url } = await startRegistry({ after: (cleanup) => void cleanups.push(cleanup) }));
});

test.after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

/** Topics, and so subjects, of each test's own. */
function settingsFor(name: string): JobSettings {
  const topics = Object.fromEntries(Object.entries(DEFAULT_TOPICS).map(([key, topic]) => [key, `${name}.${topic}`]));
  return jobSettingsSchema.parse({
    topics,
    schemaRegistry: { url },
    windows: [{ sizeMs: 1_000, graceMs: 0 }],
    rules: [{ name: "hot", metric: "temperature_c", above: 90 }],
  });
}

test("framed Avro in, framed Avro out: any client of the registry reads every output", async (t) => {
  const settings = settingsFor("roundtrip");
  const { topics } = settings;
  const client = new SchemaRegistry({ host: url });
  const { id } = await client.register(
    {
      type: SchemaType.AVRO,
      schema: JSON.stringify({
        type: "record",
        name: "Reading",
        namespace: "test",
        fields: [
          { name: "seq", type: "long" },
          { name: "ts", type: "long" },
          { name: "tempC", type: "double" },
          { name: "fw", type: ["null", "string"], default: null },
        ],
      }),
    },
    { subject: "readings" },
  );
  const prepared = await prepareSerdes(settings);
  const driver = await TopologyTestDriver.create(buildTelemetryTopology(settings, prepared), { deadLetterTopic: topics.dlq });
  t.after(() => driver.close());
  for (const reading of [
    { seq: 1, ts: T0, tempC: 95.5, fw: "1.2" },
    { seq: 2, ts: T0 + 2_000, tempC: 20, fw: null },
  ]) {
    const value = await client.encode(id, reading);
    await driver.pipe(topics.raw, { key: "demo|d1", value, timestamp: T0 + 5 });
  }
  await driver.pipe(topics.raw, { key: "demo|d1", value: Buffer.from([0, 0, 0x7f, 0, 0, 1]), timestamp: T0 + 6 });
  driver.commit();

  const read = async (topic: string): Promise<unknown[]> => {
    const values = await Promise.all(driver.output(topic).map(({ value }) => client.decode(value as Buffer) as Promise<unknown>));
    return JSON.parse(JSON.stringify(values)) as unknown[];
  };
  const common = { v: 1, tenant: "demo", deviceId: "d1" };
  const normalized = driver.output(topics.normalized);
  const decoded = JSON.parse(JSON.stringify(await client.decode(normalized[0].value as Buffer))) as unknown;
  assert.deepEqual(decoded, {
    ...common,
    bootId: null,
    seq: 1,
    ts: T0,
    deviceTs: null,
    receivedTs: T0 + 5,
    metrics: { temperature_c: 95.5 },
    attributes: { fw: "1.2" },
    flags: [],
  });
  const statistics = { count: 1, sum: 95.5, min: 95.5, max: 95.5, mean: 95.5, variance: 0, first: 95.5, last: 95.5 };
  assert.deepEqual(await read(topics.aggregates), [
    { ...common, window: { type: "tumbling", start: T0, end: T0 + 1_000 }, final: true, metrics: { temperature_c: statistics } },
  ]);
  const alerts = (await read(topics.alerts)) as { state: string }[];
  assert.deepEqual(
    alerts.map((alert) => alert.state),
    ["firing", "resolved"],
  );
  assert.deepEqual(await read(topics.deviceState), [
    {
      ...common,
      bootId: null,
      seq: 2,
      ts: T0 + 2_000,
      receivedTs: T0 + 5,
      metrics: { temperature_c: { value: 20, ts: T0 + 2_000 } },
      attributes: { fw: "1.2" },
    },
  ]);
  const [letter] = driver.output(topics.dlq);
  assert.equal(String(letter.headers.find((header) => header.key === "dlq.reason")?.value), "unknown-schema");

  // The serde reads what it wrote, for topologies that go on from the normalized topic.
  const { normalized: serde } = prepared.output;
  const bytes = normalized[0].value as Buffer;
  const out = new ByteWriter();
  serde.write(serde.read(bytes, 0, bytes.length), out);
  assert.deepEqual(out.toBuffer(), bytes);
});

test("starting again finds the same schemas", async () => {
  const settings = settingsFor("again");
  await prepareSerdes(settings);
  const client = new SchemaRegistry({ host: url });
  const first = await client.getLatestSchemaId(`${settings.topics.normalized}-value`);
  await prepareSerdes(settings);
  assert.equal(await client.getLatestSchemaId(`${settings.topics.normalized}-value`), first);
});

test("an incompatible schema is refused with the subject's name, and nothing starts", async () => {
  const settings = settingsFor("clash");
  const subject = `${settings.topics.normalized}-value`;
  const client = new SchemaRegistry({ host: url });
  const other = JSON.parse(schemaText("normalized")) as { fields: { name: string; type: unknown }[] };
  other.fields = other.fields.map((field) => (field.name === "ts" ? { ...field, type: "string" } : field));
  await client.register({ type: SchemaType.AVRO, schema: JSON.stringify(other) }, { subject, compatibility: COMPATIBILITY.BACKWARD });
  await assert.rejects(prepareSerdes(settings), (error: Error & { code?: string }) => {
    assert.equal(error.code, "schema-incompatible");
    assert.ok(error.message.includes(subject), error.message);
    return true;
  });
});

test("a registry that is not there is said to be unavailable", async () => {
  const settings = { ...settingsFor("absent"), schemaRegistry: { url: "http://127.0.0.1:1", timeoutMs: 2_000, output: "avro" as const } };
  await assert.rejects(prepareSerdes(settings), { name: "RegistryError", code: "registry-unavailable" });
});
