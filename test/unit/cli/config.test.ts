import assert from "node:assert/strict";
import { pino } from "pino";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { parse } from "yaml";
import { ConfigError } from "../../../cli/config/errors.ts";
import { envName, leavesOf } from "../../../cli/config/leaves.ts";
import { loadConfig } from "../../../cli/config/load.ts";
import { configSchema, SECRETS } from "../../../cli/config/schema.ts";
import { mqttSettings } from "../../../cli/mqtt-settings.ts";
import { tempDir } from "../../support/temp-dir.ts";

function file(t: TestContext, text: string): string {
  const path = join(tempDir(t, "config"), "sluice.yaml");
  writeFileSync(path, text);
  return path;
}

function issuesOf(path: string | undefined, env: Record<string, string> = {}): string[] {
  try {
    loadConfig(path, env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.issues.map((issue) => issue.path);
  }
  return [];
}

/** The table of the design, section 8, word for word where it has values. */
const DESIGN = `
applicationId: sluice
instanceId:
kafka:      { sessionTimeoutMs: 10000 }
mqtt:       { url: "mqtt://localhost:1883", clientId: sluice-ingress, topics: ["t/+/d/+/telemetry"], qos: 1 }
topics:     { raw: iot.telemetry.raw, normalized: iot.telemetry.normalized, aggregates: iot.telemetry.aggregates, alerts: iot.alerts, dlq: iot.telemetry.dlq }
processing: { guarantee: exactly-once, commitIntervalMs: 100, standbyReplicas: 0, idleCloseMs: 0 }
validation: { maxFutureMs: 300000, maxValueBytes: 1000000 }
state:      { dir: ./data, engine: level, cacheMiB: 64 }
windows:    [ { type: tumbling, sizeMs: 10000, graceMs: 30000, time: device, idleMs: 60000 } ]
rules:      []
http:       { host: 127.0.0.1, port: 8080, advertised: }
`;

test("an empty configuration has the design's defaults", () => {
  const wanted = parse(DESIGN, (_key, value: unknown) => value ?? undefined) as Record<string, unknown>;
  assert.partialDeepStrictEqual(loadConfig(undefined, {}).config, wanted);
});

test("the design's own table is a valid file", (t) => {
  const { config } = loadConfig(file(t, DESIGN), {});
  assert.deepEqual(config, loadConfig(undefined, {}).config);
});

test("every setting has a variable of its own, named after its path", () => {
  const names = leavesOf(configSchema).map((leaf) => leaf.env);
  assert.equal(new Set(names).size, names.length);
  assert.equal(envName(["kafka", "brokers"]), "SLUICE_KAFKA_BROKERS");
  assert.equal(envName(["state", "cacheMiB"]), "SLUICE_STATE_CACHE_MIB");
  assert.equal(envName(["processing", "commitIntervalMs"]), "SLUICE_PROCESSING_COMMIT_INTERVAL_MS");
  for (const name of ["SLUICE_KAFKA_BROKERS", "SLUICE_STATE_CACHE_MIB", "SLUICE_INSTANCE_ID", "SLUICE_WINDOWS"])
    assert.ok(names.includes(name), name);
});

test("the environment wins over the file, for text, numbers, lists, booleans and structures", (t) => {
  const path = file(t, "kafka: { brokers: [a:1] }\nstate: { cacheMiB: 8 }\n");
  const { config } = loadConfig(path, {
    SLUICE_KAFKA_BROKERS: "b:9092, c:9093",
    SLUICE_STATE_CACHE_MIB: "128",
    SLUICE_MQTT_QOS: "2",
    SLUICE_KAFKA_SSL_ENABLED: "false",
    SLUICE_INSTANCE_ID: "w1",
    SLUICE_WINDOWS: "[{sizeMs: 5000, graceMs: 0}]",
    SLUICE_HTTP_ADVERTISED: "",
  });
  assert.deepEqual(config.kafka.brokers, ["b:9092", "c:9093"]);
  assert.equal(config.state.cacheMiB, 128);
  assert.equal(config.mqtt.qos, 2);
  assert.equal(config.kafka.ssl?.enabled, false);
  assert.equal(config.instanceId, "w1");
  assert.deepEqual(config.windows, [{ type: "tumbling", sizeMs: 5000, graceMs: 0, time: "device", idleMs: 60_000 }]);
  assert.equal(config.http.advertised, undefined);
});

test("a variable that cannot be read is named", () => {
  assert.deepEqual(issuesOf(undefined, { SLUICE_STATE_CACHE_MIB: "much", SLUICE_KAFKA_SSL_ENABLED: "yes" }).sort(), [
    "SLUICE_KAFKA_SSL_ENABLED",
    "SLUICE_STATE_CACHE_MIB",
  ]);
});

test("a variable that names no setting is reported, not refused", () => {
  assert.deepEqual(loadConfig(undefined, { SLUICE_KAFKA_BROKER: "x", SLUICE_CACHE: "/c", PATH: "/bin" }).unknownVariables, [
    "SLUICE_KAFKA_BROKER",
  ]);
});

test("every wrong key is named with its path", (t) => {
  const path = file(
    t,
    `
kafka: { brokers: ["nohost"], brokerz: [] }
state: { engine: rocks }
windows: [ { sizeMs: -1 } ]
procesing: {}
http: { port: 99999 }
`,
  );
  assert.deepEqual(issuesOf(path).sort(), [
    "http.port",
    "kafka.brokers[0]",
    "kafka.brokerz",
    "procesing",
    "state.engine",
    "windows[0].sizeMs",
  ]);
});

test("a rule of the job that spans sections holds in the whole file too", (t) => {
  assert.deepEqual(issuesOf(file(t, "windows: [{ sizeMs: 1000, idleMs: 99999 }]\ndedupe: { idleMs: 5000 }\n")), ["windows[0].idleMs"]);
});

test("a file that is absent, no YAML, or no mapping is refused with its name", (t) => {
  assert.throws(() => loadConfig("/nonexistent/sluice.yaml", {}), /nonexistent/);
  assert.throws(() => loadConfig(file(t, "a: [1"), {}), ConfigError);
  assert.throws(() => loadConfig(file(t, "- a\n"), {}), /mapping/);
  assert.throws(() => loadConfig(file(t, "a: 1\na: 2\n"), {}), ConfigError);
  assert.deepEqual(issuesOf(file(t, "")), []);
});

test("a secret in the file is refused without being repeated", (t) => {
  const path = file(t, "mqtt: { password: hunter2hunter2 }\nhttp: { token: hunter2hunter2hunter2 }\n");
  assert.deepEqual(issuesOf(path).sort(), ["http.token", "mqtt.password"]);
  assert.throws(
    () => loadConfig(path, {}),
    (error: Error) => !error.message.includes("hunter2"),
  );
});

test("a secret comes from its file or from the environment, and the environment wins", (t) => {
  const secret = join(tempDir(t, "secret"), "password");
  writeFileSync(secret, "from file\n");
  const path = file(
    t,
    `mqtt: { username: u, passwordFile: ${secret} }\nkafka: { sasl: { mechanism: plain, username: u, passwordFile: ${secret} } }\n`,
  );
  const { config } = loadConfig(path, { SLUICE_KAFKA_SASL_PASSWORD: "from env" });
  assert.equal(config.mqtt.password, "from file");
  assert.equal(config.kafka.sasl?.password, "from env");
});

test("a secret's file that is absent or empty is named", (t) => {
  const empty = join(tempDir(t, "secret"), "empty");
  writeFileSync(empty, "\n");
  assert.deepEqual(issuesOf(file(t, `http: { tokenFile: ${empty} }`)), ["http.tokenFile"]);
  assert.deepEqual(issuesOf(file(t, `http: { tokenFile: ${empty}.not }`)), ["http.tokenFile"]);
});

test("each secret has a setting that names its file", () => {
  const paths = new Set(leavesOf(configSchema).map((leaf) => leaf.path.join(".")));
  for (const secret of SECRETS) assert.ok(paths.has(secret) && paths.has(`${secret}File`), secret);
});

test("admission: what makes no sense is refused with its path; mqtt.topics follow the templates", (t) => {
  const rate = { perSecond: 0, burst: 0, policy: "wait" };
  const badTopicRate = { perSecond: 0, burst: 0.5, policy: "shed" };
  const wrong = { admission: { badTopicRate, tenantRate: rate, templates: ["t/{tenant}/x"], tenants: [{ tenant: "a" }, { tenant: "a" }] } };
  assert.deepEqual(issuesOf(file(t, JSON.stringify(wrong))).sort(), [
    "admission.badTopicRate.burst",
    "admission.badTopicRate.perSecond",
    "admission.badTopicRate.policy",
    "admission.templates[0]",
    "admission.tenantRate.burst",
    "admission.tenantRate.perSecond",
    "admission.tenantRate.policy",
    "admission.tenants[1].tenant",
  ]);
  const { config } = loadConfig(undefined, {
    SLUICE_ADMISSION_TEMPLATES: '[{template: "plant/{deviceId}/data", tenant: acme}]',
    SLUICE_ADMISSION_BAD_TOPIC_RATE_PER_SECOND: "7",
  });
  assert.deepEqual(config.admission.badTopicRate, { perSecond: 7, burst: 1000 });
  assert.deepEqual(mqttSettings(config, pino({ level: "silent" })).topics, ["plant/+/data"]);
});

test("mqtt.gateways: each has a name of its own, none like a device's or Sluice's, and devices or tenants that can be", (t) => {
  const gateways = [
    { user: "one", devices: ["acme|a"] },
    { user: "one", tenants: ["acme"] },
    { user: "acme/d/a", devices: ["acme|a"] },
    { user: "two" },
    { user: "three", devices: ["acme/d/a"] },
    { user: "four", tenants: ["+"] },
    { user: "five", tenants: ["a\ntopic write #"] },
    { user: "six\nuser root", tenants: ["a"] },
    { user: "seven", id: "one", tenants: ["a"] },
  ];
  assert.deepEqual(issuesOf(file(t, JSON.stringify({ mqtt: { gateways } }))).sort(), [
    "mqtt.gateways[1].id",
    "mqtt.gateways[1].user",
    "mqtt.gateways[2].user",
    "mqtt.gateways[3]",
    "mqtt.gateways[4]",
    "mqtt.gateways[5]",
    "mqtt.gateways[6]",
    "mqtt.gateways[7].user",
    "mqtt.gateways[8].id",
  ]);
  const own = { mqtt: { username: "me", gateways: [{ user: "me", tenants: ["acme"] }] } };
  assert.deepEqual(issuesOf(file(t, JSON.stringify(own))), ["mqtt.gateways[0].user"]);
});

test("docs/configuration.md explains every setting", () => {
  const text = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
  const missing = leavesOf(configSchema)
    .map((leaf) => leaf.path.join("."))
    .filter((path) => !text.includes(`\`${path}\``));
  assert.deepEqual(missing, []);
});
