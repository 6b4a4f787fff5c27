/** A session that no ingress has any more, at a broker that knows MQTT 3.1.1 only. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, connectAsync } from "mqtt";
import type { IConnackPacket } from "mqtt-packet";
import { pino } from "pino";
import { startEmbeddedBroker } from "../../../../bridge/embedded-broker.ts";
import { retireSession } from "../../../../bridge/scale-out/retire.ts";
import { FakeWriter, fakeLog } from "../fake-writer.ts";

test("at a broker that refuses MQTT 5 a session is emptied and ended with 3.1.1", async (t) => {
  const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  t.after(() => broker.close());
  const topic = "t/demo/d/a/telemetry";
  const session = { clientId: "ingress-0", clean: false, protocolVersion: 4, reconnectPeriod: 0 } as const;
  const before = await connectAsync(broker.url, session);
  await before.subscribeAsync("t/+/d/+/telemetry", { qos: 1 });
  await before.endAsync();
  const publisher = await connectAsync(broker.url, { reconnectPeriod: 0 });
  t.after(() => publisher.endAsync(true));
  await publisher.publishAsync(topic, '{"n":1}', { qos: 1 });

  const writer = new FakeWriter();
  writer.auto = true;
  const options = {
    mqtt: { url: broker.url, clientId: "ingress-0", topics: [], formerTopics: ["t/+/d/+/telemetry"], qos: 1 as const },
    log: fakeLog(writer),
    topics: { raw: "raw", dlq: "dlq" },
    validation: { maxValueBytes: 1_000 },
    ingressId: "retired",
    logger: pino({ level: "silent" }),
  };
  assert.deepEqual(await retireSession(options, AbortSignal.timeout(10_000), 100), { messages: 1, written: 1 });
  await publisher.publishAsync(topic, '{"n":2}', { qos: 1 });
  const again = connect(broker.url, session);
  t.after(() => again.endAsync(true));
  const { sessionPresent } = await new Promise<IConnackPacket>((resolve) => again.once("connect", resolve));
  assert.equal(sessionPresent, false);
});
