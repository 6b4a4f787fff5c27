/**
 * Whose certificate new connections to Kafka carry after a rotation. The broker makes a principal of the certificate's CN, and the rights of
 * the old one are taken away: whatever still came on a connection of the old certificate would be refused.
 */
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import { ingressRights, workerRights, type Right } from "../../cli/acls.ts";
import { DAY_MS } from "../../cli/certificate-end.ts";
import { configSchema } from "../../cli/config/schema.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { Acls } from "../faults/acls.ts";
import { Authority, type CertificateFiles, mutualTlsListener } from "../support/certificates.ts";
import { startKafka } from "../support/kafka.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { createJobTopics, jobTopics, readTopic } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { SteadyPublisher } from "../support/steady-publisher.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto", "openssl");
/** Published before the rotation, between it and the end of the old rights, and after that; at the least. */
const MESSAGES = 200;
/** What certificates are good for. */
const [OLD_DAYS, NEW_DAYS] = [20, 365];

test(
  "after a rotation every request of an ingress and a worker comes under the new certificate: without the old one's rights nothing stops or is lost",
  { skip, timeout: 150_000 },
  async (t) => {
    const authority = await Authority.create(t);
    const names = ["worker-old", "worker-new", "ingress-old", "ingress-new"] as const;
    const [server, ...issued] = await Promise.all([
      authority.issue("server"),
      ...names.map((name) => authority.issue(name, name.endsWith("-old") ? OLD_DAYS : NEW_DAYS)),
    ]);
    const [kafka, mosquitto] = await Promise.all([
      startKafka(t, {
        proxied: true,
        config: {
          ...mutualTlsListener(authority, server),
          "listener.name.proxied.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
          "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
          "super.users": "User:ANONYMOUS",
        },
      }),
      startMosquitto(t),
    ]);
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "certificates", logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const topics = jobTopics();
    await createJobTopics(log, topics, 2);
    const settings = configSchema.parse({ topics });
    const rights: Readonly<Record<"worker" | "ingress", readonly Right[]>> = {
      worker: workerRights(settings),
      ingress: ingressRights(settings),
    };
    const acls = await Acls.connect(t, kafka);

    const services = await Promise.all(
      (["worker", "ingress"] as const).map(async (name) => {
        const [before, after] = [`${name}-old`, `${name}-new`].map((cn) => issued[names.findIndex((one) => one === cn)]);
        const live = { certFile: join(tempDir(t, name), "cert.pem"), keyFile: join(tempDir(t, name), "key.pem") };
        const put = ({ certFile, keyFile }: CertificateFiles): void => {
          copyFileSync(certFile, live.certFile);
          copyFileSync(keyFile, live.keyFile);
        };
        put(before);
        const config = (files: { certFile: string; keyFile: string } = live) => ({
          kafka: {
            brokers: [kafka.proxies[0].address],
            ssl: { caFile: authority.caFile, certFile: files.certFile, keyFile: files.keyFile },
          },
          mqtt: { url: mosquitto.url },
          topics,
          state: { dir: tempDir(t, "state") },
          http: { port: 0 },
        });
        await acls.grant(rights[name], `${name}-old`);
        const process = await spawnCli(t, [name], { config: config() });
        await process.waitForOutput(name === "ingress" ? /ingress takes telemetry/ : /HTTP API listens/);
        return { name, process, config, before, rotate: () => put(after) };
      }),
    );
    const publisher = SteadyPublisher.start(t, await connectAsync(mosquitto.url), "t/acme/d/d1/telemetry");
    const isNormalized = (seq: number): Promise<unknown> =>
      waitFor(`message ${seq} is normalized`, async () => (await seqs(topics.normalized)).includes(seq), {
        deadlineMs: 30_000,
        intervalMs: 200,
      });
    await isNormalized(MESSAGES);

    for (const { name, rotate } of services) {
      await acls.grant(rights[name], `${name}-new`);
      rotate();
    }
    // Each asks for its certificate at each request, so that it reads the new one is soon; what was sent before is answered by then.
    for (const { process } of services) await process.waitForOutput(/read again/);
    await isNormalized(publisher.sent + MESSAGES);
    for (const { process } of services) assert.match(process.stderr(), /"kind":"kafka-client".*a certificate ends soon/);
    const [, url] = await services[0].process.waitForOutput(/"url":"(http:[^"]+)"/);
    const [, end] =
      /^sluice_certificate_expiry_seconds\{kind="kafka-client"\} (\d+)/m.exec(await (await fetch(`${url}/metrics`)).text()) ?? [];
    assert.ok(Number(end) * 1000 > Date.now() + (NEW_DAYS - 1) * DAY_MS, `the metric is of the new one: ${end}`);

    for (const { name } of services) for (const right of rights[name]) await acls.revoke(right, `${name}-old`);
    const [{ config, before }] = services;
    const refused = await runCli(t, ["topics", "verify"], { config: config(before) });
    assert.notEqual(refused.code, 0, "the old certificate opens nothing now");
    await isNormalized(publisher.sent + MESSAGES);
    const last = await publisher.stop();
    await isNormalized(last);

    const all = Array.from({ length: last + 1 }, (_, seq) => seq);
    const inOrder = (found: readonly number[]): number[] => [...found].sort((a, b) => a - b);
    assert.deepEqual(inOrder([...new Set(await seqs(topics.raw))]), all, "none is lost on the way in");
    assert.deepEqual(inOrder(await seqs(topics.normalized)), all, "each once");
    for (const { process, name } of services) {
      assert.doesNotMatch(process.stderr(), /AUTHORIZATION_FAILED/, name);
      assert.equal((await process.stop()).code, 0, process.stderr());
    }

    async function seqs(topic: string): Promise<number[]> {
      return (await readTopic(log, topic)).map(({ value }) => (JSON.parse(String(value)) as { seq: number }).seq);
    }
  },
);
