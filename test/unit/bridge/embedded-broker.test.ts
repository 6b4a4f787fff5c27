import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { startEmbeddedBroker } from "../../../bridge/embedded-broker.ts";
import { waitFor } from "../../support/wait-for.ts";
import { FakeWriter, fakeLog } from "./fake-writer.ts";
import { makeIngress } from "./ingress-fixture.ts";

test("the embedded broker listens on loopback only", async () => {
  await assert.rejects(startEmbeddedBroker({ host: "0.0.0.0", port: 0 }), { code: "bad-settings" });
});

test("a taken port is the socket's error", async (t) => {
  const first = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  t.after(() => first.close());
  await assert.rejects(startEmbeddedBroker({ host: "127.0.0.1", port: Number(new URL(first.url).port) }), { code: "EADDRINUSE" });
});

test("a session keeps messages while its client is away, and close() ends connections that are open", async (t) => {
  const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  const session = { clientId: "keeper", clean: false, reconnectPeriod: 0, timerVariant: "native" } as const;
  const first = await connectAsync(broker.url, session);
  await first.subscribeAsync("a", { qos: 1 });
  await first.endAsync();
  const publisher = await connectAsync(broker.url, { reconnectPeriod: 0, timerVariant: "native" });
  await publisher.publishAsync("a", "kept", { qos: 1 });
  const received: string[] = [];
  const second = await connectAsync(broker.url, session);
  t.after(() => second.endAsync(true));
  t.after(() => publisher.endAsync(true));
  second.on("message", (_topic, payload) => received.push(payload.toString()));
  await waitFor("the kept message", () => received.includes("kept"));
  await broker.close();
  await waitFor("both are disconnected", () => !second.connected && !publisher.connected);
});

test("a broker that refuses MQTT 5 is asked again with 3.1.1", async (t) => {
  const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  t.after(() => broker.close());
  const ingress = makeIngress(t, fakeLog(new FakeWriter()), { url: broker.url, protocolVersion: 5 });
  await ingress.start();
  assert.equal(ingress.stats().connected, true);
});
