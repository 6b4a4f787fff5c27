/**
 * SASL sessions that end (KIP-368): the broker drops a connection on which a request comes after the end. An ingress and a worker go on over
 * many lifetimes, with tokens as short, and make a new connection about once a lifetime.
 */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { startKafka } from "../support/kafka.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { spawnCli } from "../support/spawn-cli.ts";
import { SteadyPublisher } from "../support/steady-publisher.ts";
import { createJobTopics, jobTopics, readTopic } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { unsecuredToken } from "../support/unsecured-token.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto");
const SESSION_MS = 3_000;
const TOKEN_LIFE_S = 5;
const LIFETIMES = 5;
/** Far more than a client of either service has at a time, and far less than there are requests. */
const MAX_CONNECTIONS_A_LIFETIME = 40;

test(
  `an ingress and a worker go on over ${LIFETIMES} SASL sessions of ${SESSION_MS} ms: nothing is lost, no connection is dropped, each is made anew once a session`,
  { skip, timeout: 150_000 },
  async (t) => {
    const module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required";
    const handlers = "org.apache.kafka.common.security.oauthbearer.internals.unsecured";
    const listener = "listener.name.proxied.oauthbearer.";
    const [kafka, mosquitto, tokens] = await Promise.all([
      startKafka(t, {
        proxied: true,
        config: {
          "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SASL_PLAINTEXT",
          "listener.name.proxied.sasl.enabled.mechanisms": "OAUTHBEARER",
          [`${listener}sasl.jaas.config`]: `${module} unsecuredLoginStringClaim_sub="broker";`,
          [`${listener}sasl.server.callback.handler.class`]: `${handlers}.OAuthBearerUnsecuredValidatorCallbackHandler`,
          [`${listener}sasl.login.callback.handler.class`]: `${handlers}.OAuthBearerUnsecuredLoginCallbackHandler`,
          [`${listener}connections.max.reauth.ms`]: String(SESSION_MS),
        },
      }),
      startMosquitto(t),
      startTokenServer(t),
    ]);
    const [proxy] = kafka.proxies;
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "reauthentication", logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const topics = jobTopics();
    await createJobTopics(log, topics, 2);
    const services = await Promise.all(
      (["ingress", "worker"] as const).map(async (name) => {
        const config = {
          kafka: {
            brokers: [proxy.address],
            sasl: { mechanism: "oauthbearer", tokenUrl: tokens.url, clientId: "sluice" },
          },
          mqtt: { url: mosquitto.url },
          topics,
          state: { dir: tempDir(t, "state") },
          http: { port: 0 },
        };
        const process = await spawnCli(t, [name], { config, env: { SLUICE_KAFKA_SASL_CLIENT_SECRET: "secret" } });
        await process.waitForOutput(name === "ingress" ? /ingress takes telemetry/ : /HTTP API listens/);
        return process;
      }),
    );
    const publisher = SteadyPublisher.start(t, await connectAsync(mosquitto.url), "t/acme/d/d1/telemetry");
    const isNormalized = (seq: number): Promise<unknown> =>
      waitFor(`message ${seq} is normalized`, async () => (await seqs(topics.normalized)).includes(seq), {
        deadlineMs: 30_000,
        intervalMs: 200,
      });
    await isNormalized(0);
    const before = { at: Date.now(), taken: proxy.taken, dropped: proxy.dropped, tokens: tokens.given() };
    await waitFor(`${LIFETIMES} lifetimes`, () => Date.now() - before.at > LIFETIMES * SESSION_MS, {
      deadlineMs: 2 * LIFETIMES * SESSION_MS,
      intervalMs: 100,
    });
    const made = proxy.taken - before.taken;
    t.diagnostic(`${made} connections and ${tokens.given() - before.tokens} tokens in ${LIFETIMES} sessions, ${publisher.sent} messages`);
    const last = await publisher.stop();
    await isNormalized(last);

    const all = Array.from({ length: last + 1 }, (_, seq) => seq);
    const inOrder = (found: readonly number[]): number[] => [...found].sort((a, b) => a - b);
    assert.deepEqual(inOrder(await seqs(topics.raw)), all, "none is lost, or written twice after a dropped connection");
    assert.deepEqual(inOrder(await seqs(topics.normalized)), all);
    assert.ok(made >= LIFETIMES, `connections were made anew: ${made}`);
    assert.ok(made <= LIFETIMES * MAX_CONNECTIONS_A_LIFETIME, `not one a request: ${made}`);
    assert.equal(proxy.dropped, before.dropped, "the broker had to end none");
    for (const process of services) assert.equal((await process.stop()).code, 0, process.stderr());

    async function seqs(topic: string): Promise<number[]> {
      return (await readTopic(log, topic)).map(({ value }) => (JSON.parse(String(value)) as { seq: number }).seq);
    }
  },
);

async function startTokenServer(t: TestContext): Promise<{ url: string; given(): number }> {
  let given = 0;
  const server = createServer((_request, response) => {
    given++;
    response.end(JSON.stringify({ access_token: unsecuredToken("sluice", TOKEN_LIFE_S), expires_in: TOKEN_LIFE_S }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, given: () => given };
}
