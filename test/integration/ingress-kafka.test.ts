/** The ingress on real Kafka that stops answering. Freezing differs from refusing: connections stay open and nothing comes back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { startKafka } from "../support/kafka.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeIngress } from "../unit/bridge/ingress-fixture.ts";
import { createTopics, publisher, readTopic, sorted } from "./ingress-support.ts";

const skip = await need("kafka", "mosquitto");
const DEVICES = 8;
const WINDOW = 200;

test(
  "Kafka frozen under load: nothing is acknowledged meanwhile, the window bounds memory, and all arrives in order after",
  { skip },
  async (t) => {
    // Options of its own: not the broker that other tests share.
    const [{ url }, kafka] = await Promise.all([startMosquitto(t), startKafka(t, { config: {} })]);
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "ingress-test", logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    await createTopics(log);
    const ingress = makeIngress(t, log, { url, windowMessages: WINDOW });
    await ingress.start();
    const client = await publisher(t, url);
    const sent: string[] = [];
    const publishSome = async (): Promise<void> => {
      const batch = Array.from({ length: 1000 }, (_, i) => String(sent.length + i));
      sent.push(...batch);
      await Promise.all(batch.map((n) => client.publishAsync(`t/demo/d/${Number(n) % DEVICES}/telemetry`, n, { qos: 1 })));
    };
    await publishSome();
    await waitFor("the stream runs", () => ingress.stats().acked === sent.length);
    for (const pid of kafka.pids) process.kill(pid, "SIGSTOP");
    try {
      await publishSome();
      await waitFor("the window is full", () => ingress.stats().inFlight === WINDOW);
      const { acked } = ingress.stats();
      await publishSome();
      assert.equal(ingress.stats().inFlight, WINDOW);
      assert.equal(ingress.stats().acked, acked);
    } finally {
      for (const pid of kafka.pids) process.kill(pid, "SIGCONT");
    }
    await waitFor("all acknowledged", () => ingress.stats().acked >= sent.length, { deadlineMs: 30_000 });
    const raw = await readTopic(log, "raw");
    assert.deepEqual(sorted(new Set(raw.map(({ value }) => value))), sorted(sent));
    for (let device = 0; device < DEVICES; device++) {
      const first = [...new Set(raw.filter(({ key }) => key === `demo|${device}`).map(({ value }) => Number(value)))];
      assert.deepEqual(
        first,
        [...first].sort((a, b) => a - b),
        `order of device ${device}`,
      );
    }
  },
);
