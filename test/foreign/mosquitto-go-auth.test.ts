/**
 * A broker of others asks our webhook: Mosquitto with mosquitto-go-auth's HTTP backend. By certificate, the CN as user name; by password,
 * from the plugin's own file. Not a part of `npm test`: building the plugin takes minutes and wants Go (`npm run test:foreign`).
 */
import assert from "node:assert/strict";
import { pbkdf2Sync, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import { publisher } from "../integration/ingress-support.ts";
import { assertDoors, DEVICES, SERVICE, type Login } from "../integration/mqtt-doors.ts";
import { MutualTls } from "../integration/mutual-tls.ts";
import { freePort } from "../support/free-port.ts";
import { goAuthPlugin } from "../support/go-auth.ts";
import { startKafka } from "../support/kafka.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { readTopic } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto", "openssl", "mosquitto-go-auth");
const SECRET = "sixteen-characters-or-more";
const PASSWORD = "test-password";
const DENIED = "acme/d/denied";

test(
  "mosquitto-go-auth asks the ingress: a device uses its own topics, and no door leads to another's",
  { skip, timeout: 150_000 },
  async (t) => {
    const httpPort = await freePort();
    const [kafka, tls] = await Promise.all([startKafka(t, { brokers: 1 }), MutualTls.create(t)]);
    const passwords = join(tempDir(t, "go-auth"), "passwords");
    writeFileSync(passwords, [SERVICE, ...DEVICES, DENIED].map((name) => `${name}:${hashed(PASSWORD)}\n`).join(""));
    const mosquitto = await startMosquitto(t, {
      config: [
        `auth_plugin ${goAuthPlugin()}`,
        "auth_opt_backends files, http",
        "auth_opt_files_register user",
        `auth_opt_files_password_path ${passwords}`,
        "auth_opt_http_register acl",
        "auth_opt_http_host 127.0.0.1",
        `auth_opt_http_port ${httpPort}`,
        "auth_opt_http_getuser_uri /none", // it wants one, and does not ask there
        `auth_opt_http_aclcheck_uri /mqtt/go-auth/acl?secret=${SECRET}`,
        "auth_opt_disable_superuser true",
        ...tls.config,
      ],
    });
    const config = {
      kafka: { brokers: kafka.bootstrap },
      mqtt: { url: mosquitto.url, username: SERVICE },
      topicDefaults: { partitions: 1 },
      deviceRegistry: { mode: "open" },
      ingress: { http: { port: httpPort }, auth: { serviceUsers: [SERVICE] } },
    };
    const made = await runCli(t, ["topics", "create"], { config });
    assert.equal(made.code, 0, made.stderr);
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "foreign", logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const writer = log.plainWriter({});
    const set = new RecordSet(16_384);
    const [key, entry] = [Buffer.from("acme|denied"), Buffer.from('{"v":1,"status":"denied"}')];
    set.partition("iot.device.registry", 0).append(Date.now(), key, 0, key.length, entry, 0, entry.length);
    await writer.write(set);
    await writer.close();
    const env = { SLUICE_MQTT_PASSWORD: PASSWORD, SLUICE_INGRESS_AUTH_SECRET: SECRET };
    const ingress = await spawnCli(t, ["ingress"], { config, env });
    await ingress.waitForOutput(/ingress takes telemetry/);

    const byPassword: Login = (username, options = {}) =>
      publisher(t, mosquitto.url, { username, password: PASSWORD, protocolVersion: 5, reconnectPeriod: 0, ...options });
    const byCertificate: Login = (name, options = {}) => tls.login(t, name, { username: "acme/d/a", ...options });
    await t.test("by password", () => assertDoors(byPassword));
    await assert.rejects(byPassword("acme/d/a", { password: "wrong" }));
    await mosquitto.stop();
    await mosquitto.restart();
    await t.test("by certificate, whatever user name a device gives", () => assertDoors(byCertificate));

    await t.test("a device that the registry denies may not publish, by either", async (st: TestContext) => {
      const service = await byPassword(SERVICE);
      const seen: string[] = [];
      service.on("message", (topic) => seen.push(topic));
      await service.subscribeAsync("t/+/d/+/telemetry", { qos: 1 });
      for (const login of [byPassword, byCertificate])
        for (const name of [DENIED, "acme/d/a"]) {
          const device = await login(name);
          await device.publishAsync(`t/${name}/telemetry`, '{"seq":1,"tempC":1}', { qos: 1 }).catch(() => undefined);
        }
      await waitFor("what is allowed comes through", () => seen.length >= 2);
      assert.deepEqual(seen, ["t/acme/d/a/telemetry", "t/acme/d/a/telemetry"]);
      const keys = async (): Promise<Set<string>> => new Set((await readTopic(log, "iot.telemetry.raw")).map(({ key }) => String(key)));
      await waitFor("the ingress has taken what was let in, in all of this", async () => (await keys()).size === DEVICES.length);
      assert.deepEqual([...(await keys())].sort(), ["acme|a", "acme|b", "evil|x"]);
      const metrics = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
      const counts = metrics.split("\n").filter((line) => line.startsWith("sluice_ingress_broker_auth_total"));
      st.diagnostic(counts.join("; "));
    });
  },
);

/** As the plugin's files backend takes it. */
function hashed(password: string): string {
  const salt = randomBytes(16);
  const iterations = 1_000;
  return `PBKDF2$sha512$${iterations}$${salt.toString("base64")}$${pbkdf2Sync(password, salt, iterations, 64, "sha512").toString("base64")}`;
}
