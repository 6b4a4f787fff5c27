/** Real Kafka behind SASL_SSL with client certificates, real Mosquitto behind mTLS: every mechanism, what doctor says, a rotation. */
import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import type { Finding } from "../../cli/doctor/finding.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { Authority } from "../support/certificates.ts";
import { freePort } from "../support/free-port.ts";
import { startKafka } from "../support/kafka.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { createJobTopics, jobTopics, readTopic } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { unsecuredToken } from "../support/unsecured-token.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto", "openssl");
const SECRET = "of-the-worker-7x";
const TOKEN_LIFE_S = 300;
const MESSAGES = 3_000;
/** After so many the certificates are replaced. */
const ROTATE_AT = 1_000;

test(
  "TLS, SASL and client certificates on both sides; certificates replaced under load lose nothing",
  { skip, timeout: 200_000 },
  async (t) => {
    const authority = await Authority.create(t);
    const [server, first, next, short] = await Promise.all([
      authority.issue("server"),
      authority.issue("client"),
      authority.issue("client"),
      authority.issue("short", 2),
    ]);
    const module = (name: string) => `org.apache.kafka.common.security.${name} required`;
    const listener = "listener.name.proxied.";
    const kafka = await startKafka(t, {
      proxied: true,
      scram: [`SCRAM-SHA-256=[name=worker,password=${SECRET}]`, `SCRAM-SHA-512=[name=worker,password=${SECRET}]`],
      config: {
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SASL_SSL",
        [`${listener}ssl.keystore.type`]: "PEM",
        [`${listener}ssl.keystore.location`]: server.bothFile,
        [`${listener}ssl.truststore.type`]: "PEM",
        [`${listener}ssl.truststore.location`]: authority.caFile,
        [`${listener}ssl.client.auth`]: "required",
        [`${listener}sasl.enabled.mechanisms`]: "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        [`${listener}plain.sasl.jaas.config`]: `${module("plain.PlainLoginModule")} user_worker="${SECRET}" user_poor="${SECRET}";`,
        [`${listener}scram-sha-256.sasl.jaas.config`]: `${module("scram.ScramLoginModule")};`,
        [`${listener}scram-sha-512.sasl.jaas.config`]: `${module("scram.ScramLoginModule")};`,
        [`${listener}oauthbearer.sasl.jaas.config`]: `${module("oauthbearer.OAuthBearerLoginModule")} unsecuredLoginStringClaim_sub="broker";`,
        [`${listener}oauthbearer.sasl.server.callback.handler.class`]:
          "org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler",
        [`${listener}oauthbearer.sasl.login.callback.handler.class`]:
          "org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredLoginCallbackHandler",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:worker",
      },
    });
    const tlsPort = await freePort();
    const mosquitto = await startMosquitto(t, {
      config: [
        `listener ${tlsPort} 127.0.0.1`,
        `cafile ${authority.caFile}`,
        `certfile ${server.certFile}`,
        `keyfile ${server.keyFile}`,
        "require_certificate true",
      ],
    });

    const dir = tempDir(t, "secure");
    const live = { caFile: authority.caFile, certFile: join(dir, "cert.pem"), keyFile: join(dir, "key.pem") };
    copyFileSync(first.certFile, live.certFile);
    copyFileSync(first.keyFile, live.keyFile);
    const [passwordFile, tokenFile] = [join(dir, "password"), join(dir, "token")];
    writeFileSync(passwordFile, `${SECRET}\n`);
    writeFileSync(tokenFile, unsecuredToken("worker", TOKEN_LIFE_S));
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "secure", logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const topics = jobTopics();
    await createJobTopics(log, topics, 2);
    const configWith = (sasl: object, ssl: object = live) => ({
      kafka: { brokers: [kafka.proxies[0].address], ssl, sasl },
      mqtt: { url: `mqtts://127.0.0.1:${tlsPort}`, tls: live },
      topics,
      topicDefaults: { partitions: 2 },
    });
    const scram = { mechanism: "scram-sha-512", username: "worker", passwordFile };

    await t.test("each mechanism gets in, with a password, a token from a file and one from a server", async () => {
      const tokenServer = createServer((request, response) => {
        const known = request.headers.authorization === `Basic ${Buffer.from(`sluice:${SECRET}`).toString("base64")}`;
        response
          .writeHead(known ? 200 : 401)
          .end(JSON.stringify(known ? { access_token: unsecuredToken("worker", TOKEN_LIFE_S), expires_in: 300 } : {}));
      });
      await new Promise<void>((resolve) => tokenServer.listen(0, "127.0.0.1", resolve));
      t.after(() => tokenServer.close());
      const tokenUrl = `http://127.0.0.1:${(tokenServer.address() as AddressInfo).port}/token`;
      const mechanisms = [
        { mechanism: "plain", username: "worker", passwordFile },
        { mechanism: "scram-sha-256", username: "worker", passwordFile },
        scram,
        { mechanism: "oauthbearer", tokenFile },
        { mechanism: "oauthbearer", tokenUrl, clientId: "sluice", clientSecretFile: passwordFile },
      ];
      for (const sasl of mechanisms) {
        const { code, stdout, stderr } = await runCli(t, ["topics", "verify"], { config: configWith(sasl) });
        assert.equal(code, 0, `${sasl.mechanism}: ${stderr}${stdout}`);
      }
    });

    await t.test("a wrong password or no certificate is refused, and no secret is in what is said", async () => {
      const env = { SLUICE_KAFKA_SASL_PASSWORD: "wrong-secret-5z", SLUICE_LOG_LEVEL: "trace" };
      const wrong = await runCli(t, ["topics", "verify", "--json"], { config: configWith({ ...scram, passwordFile: undefined }), env });
      assert.equal(wrong.code, 1);
      assert.match(wrong.stderr, /"unauthorized"/);
      assert.doesNotMatch(wrong.stderr + wrong.stdout, /wrong-secret-5z/);
      const right = await runCli(t, ["topics", "verify"], { config: configWith(scram), env: { SLUICE_LOG_LEVEL: "trace" } });
      assert.equal(right.code, 0);
      assert.doesNotMatch(right.stderr + right.stdout, new RegExp(SECRET));
    });

    await t.test("doctor finds nothing wrong where nothing is, and else says what and how to mend it", async () => {
      const well = await doctor({ config: configWith(scram) });
      assert.equal(well.code, 0, JSON.stringify(well.findings));
      for (const check of ["kafka.brokers", "kafka.topics", "kafka.acls", "kafka.clock", "certificates", "mqtt.broker"])
        assert.ok(
          well.findings.some((finding) => finding.check === check && finding.severity === "ok"),
          `${check} ${JSON.stringify(well.findings)}`,
        );
      const conf = join(dir, "mosquitto.conf");
      writeFileSync(conf, "listener 1883\n");
      const poor = { mechanism: "plain", username: "poor", passwordFile };
      const ill = configWith(poor, { ...live, certFile: short.certFile, keyFile: short.keyFile });
      const ailing = await doctor({
        config: { ...ill, mqtt: { ...ill.mqtt, url: `mqtts://127.0.0.1:${await freePort()}` } },
        args: ["--mosquitto-conf", conf],
      });
      assert.equal(ailing.code, 1);
      const errors = ailing.findings.filter(({ severity }) => severity === "error");
      assert.ok(errors.every(({ mend }) => mend !== undefined));
      const text = errors.map(({ check, seen }) => `${check}: ${seen}`).join("\n");
      assert.match(text, new RegExp(`kafka.acls: no right to Read, .*Topic ${topics.raw}`));
      assert.match(text, /kafka.acls: no right to Read Group sluice/);
      assert.match(text, /certificates: .*short.*: 1 days left/);
      assert.match(text, /mqtt.broker: .*ECONNREFUSED/);
      assert.match(text, /mqtt.queue-limits: max_queued_messages is 1000/);
    });

    await t.test("certificates that are replaced while messages come: both connections are made anew, every message is there", async () => {
      const ingress = await spawnCli(t, ["ingress"], { config: configWith(scram) });
      await ingress.waitForOutput(/ingress takes telemetry/);
      const publisher = await connectAsync(mosquitto.url, { clientId: "publisher" });
      t.after(() => publisher.endAsync());
      for (let n = 0; n < MESSAGES; n++) {
        if (n === ROTATE_AT) {
          // one after the other, as it happens: the pair does not fit in between
          copyFileSync(next.certFile, live.certFile);
          await ingress.waitForOutput(/changed files cannot be used yet/);
          copyFileSync(next.keyFile, live.keyFile);
        }
        const sent = publisher.publishAsync("t/acme/d/d1/telemetry", JSON.stringify({ seq: n, tempC: 20 }), { qos: 1 });
        if (n % 100 === 0) await sent;
      }
      await ingress.waitForOutput(/new mqtt credentials: connecting again/);
      await publisher.publishAsync("t/acme/d/d1/telemetry", JSON.stringify({ seq: MESSAGES, tempC: 20 }), { qos: 1 });
      await waitFor("every message is in the raw topic", async () => (await seqs()).size === MESSAGES + 1, {
        deadlineMs: 30_000,
        intervalMs: 200,
      });
      assert.equal((await ingress.stop()).code, 0, ingress.stderr());
      assert.match(ingress.stderr(), /read again/);
    });

    async function seqs(): Promise<Set<number>> {
      return new Set((await readTopic(log, topics.raw)).map(({ value }) => (JSON.parse(String(value)) as { seq: number }).seq));
    }

    async function doctor(options: {
      config: Record<string, unknown>;
      args?: string[];
    }): Promise<{ code: number | null; findings: Finding[] }> {
      const { code, stdout, stderr } = await runCli(t, ["doctor", "--json", ...(options.args ?? [])], { config: options.config });
      assert.ok(stdout.startsWith("{"), stderr);
      return { code, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
    }
  },
);
