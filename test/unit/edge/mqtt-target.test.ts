/** The uplink to a broker that sets limits and says no: a gateway's own port is one. Names: issues of others' bridges. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { DevicePort } from "../../../bridge/edge/device-port.ts";
import type { StoredMessage } from "../../../bridge/edge/message.ts";
import { MqttTarget } from "../../../bridge/edge/mqtt-target.ts";
import type { Store } from "../../../bridge/edge/store.ts";
import { waitFor } from "../../support/wait-for.ts";
import { FakeStore } from "./fake-store.ts";
import { SILENT, message, offer, openStore, readAll } from "./support.ts";

async function upstream(t: TestContext, settings: { window?: number; maxPacketBytes?: number } = {}) {
  const store = new FakeStore();
  const all = { host: "127.0.0.1", port: 0, maxConnections: 10, maxPacketBytes: 100_000, window: 100, ...settings };
  const broker = new DevicePort(all, { clientCertificates: false, anonymous: true }, store as unknown as Store);
  const url = `mqtt://127.0.0.1:${await broker.listen()}`;
  const target = new MqttTarget({ mqtt: { url, clientId: "", topics: [], qos: 1 }, gatewayId: "g1", logger: SILENT });
  t.after(async () => {
    await target.close();
    await broker.close();
  });
  await target.connect();
  return { store, broker, target };
}

async function messages(t: TestContext, count: number, bytes = 20): Promise<StoredMessage[]> {
  const { store } = await openStore(t);
  for (let n = 0; n < count; n++) await offer(store, message("a", n, bytes));
  return readAll(store);
}

test("no more is outstanding than the broker's Receive Maximum allows (mosquitto #3002)", async (t) => {
  const { store, broker, target } = await upstream(t, { window: 3 });
  const sent = target.send(await messages(t, 50));
  for (let answered = 0; answered < 50; answered++) {
    await waitFor("the next message", () => store.offered.length > answered);
    assert.ok(store.offered.length <= answered + 3);
    store.offered[answered].done("stored");
  }
  assert.deepEqual(await sent, { taken: 50, refused: [], error: undefined });
  assert.equal(broker.counters.protocolErrors, 0);
});

test("a broker without room (0x97) is no reason to drop: what it took is taken, the rest goes again over a new connection", async (t) => {
  const { store, target } = await upstream(t);
  const all = await messages(t, 3);
  const first = target.send(all);
  await waitFor("all three", () => store.offered.length === 3);
  store.offered[0].done("stored");
  store.offered[1].done("refused");
  store.offered[2].done("stored");
  const { taken, refused, error } = await first;
  assert.deepEqual([taken, refused.length], [1, 0]);
  assert.equal((error as { code?: number }).code, 0x97);
  store.answer = "stored";
  await target.connect();
  assert.equal((await target.send(all.slice(1))).taken, 2);
});

test("a message larger than the broker takes is refused without being sent, and those behind it go on", async (t) => {
  const { store, target } = await upstream(t, { maxPacketBytes: 2_000 });
  store.answer = "stored";
  const [[small], [large]] = [await messages(t, 1), await messages(t, 1, 3_000)];
  const behind = { ...small, offset: 2 };
  const { taken, refused } = await target.send([small, { ...large, offset: 1 }, behind]);
  assert.equal(taken, 3);
  assert.deepEqual(
    refused.map(({ offset }) => offset),
    [1],
  );
  assert.equal(store.offered.length, 2);
});

test("a connection that ends gives back what was not acknowledged", async (t) => {
  const { store, broker, target } = await upstream(t);
  const sent = target.send(await messages(t, 2));
  await waitFor("both", () => store.offered.length === 2);
  store.offered[0].done("stored");
  await waitFor("one acknowledged", () => broker.counters.acked === 1);
  await broker.close();
  const { taken, error } = await sent;
  assert.ok(taken <= 1 && error !== undefined);
});

test("a connection that was lost with nothing under way is found out by the next send at once, not by its missing acknowledgement", async (t) => {
  const { broker, target } = await upstream(t);
  const all = await messages(t, 1);
  await broker.close();
  await waitFor("the loss is known", () => broker.connections === 0);
  // The target's own side hears of it a moment later; a send before that fails by its close.
  const { taken, error } = await target.send(all);
  assert.equal(taken, 0);
  assert.ok(error !== undefined && !error.message.includes("no acknowledgement"), error?.message);
  const again = await target.send(all);
  assert.match(again.error?.message ?? "", /not connected/);
});
