import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { KafkaTarget } from "../../../bridge/edge/kafka-target.ts";
import type { StoredMessage } from "../../../bridge/edge/message.ts";
import type { Store } from "../../../bridge/edge/store.ts";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { readTopic } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { message, offer, openStore, readAll } from "./support.ts";

/** The target writes to any log of the port; the embedded one is at hand. */
async function upstream(t: TestContext, config: Record<string, string> = {}) {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "upstream") });
  await log.admin.createTopics(["raw", "raw-own", "acks"].map((name) => ({ name, partitions: 4, config })));
  await log.admin.createTopics([{ name: "dlq", partitions: 2, config: {} }]);
  const target = new KafkaTarget({
    log,
    topics: { raw: "raw", dlq: "dlq", acks: "acks" },
    admission: {
      templates: ["t/{tenant}/d/{deviceId}/telemetry", { template: "plant/{deviceId}", tenant: "acme" }],
      tenants: [{ tenant: "own", rawTopic: "raw-own" }],
    },
    gatewayId: "g1",
  });
  t.after(() => target.close());
  await target.connect();
  return { log, target };
}

async function stored(t: TestContext, fill: (store: Store) => Promise<unknown>): Promise<StoredMessage[]> {
  const { store } = await openStore(t);
  await fill(store);
  return readAll(store);
}

test("a stored message becomes the record the ingress would have written, with the gateway's receive time", async (t) => {
  const { log, target } = await upstream(t);
  const messages = await stored(t, async (store) => {
    await offer(store, message("a", 1));
    await offer(store, { ...message("b", 2), topic: "plant/b", contentType: "text/plain", correlation: Buffer.from("c") });
    await offer(store, { ...message("a", 3), topic: "t/demo/d/a/cmd/ack" });
    await offer(store, { ...message("a", 4), topic: "t/own/d/a/telemetry" });
  });
  assert.deepEqual(await target.send(messages), { taken: 4, refused: [] });
  const raw = await readTopic(log, "raw");
  assert.deepEqual(
    raw.map(({ key, value, headers }) => [key, String(value).trim(), headers.get("mqtt.topic"), headers.get("mqtt.topic.original")]).sort(),
    [
      ["acme|b", "2", "t/acme/d/b/telemetry", "plant/b"],
      ["demo|a", "1", "t/demo/d/a/telemetry", undefined],
    ],
  );
  const [b] = raw.filter(({ key }) => key === "acme|b");
  assert.deepEqual(
    [b.headers.get("content-type"), b.headers.get("mqtt.correlation"), b.headers.get("ingress.id")],
    ["text/plain", "c", "g1"],
  );
  assert.equal(b.timestamp, messages[1].receivedTs);
  const acks = await readTopic(log, "acks");
  assert.deepEqual(
    acks.map(({ key, value }) => `${String(key)} ${String(value).trim()}`),
    ["demo|a 3"],
  );
  assert.deepEqual(
    (await readTopic(log, "raw-own")).map(({ key }) => key),
    ["own|a"],
    "of a tenant with a raw topic of its own",
  );
});

test("what no template fits and what its topic is too small for are dead letters, and the others go on; states are passed over", async (t) => {
  const { log, target } = await upstream(t, { "max.message.bytes": "2000" });
  const messages = await stored(t, async (store) => {
    await offer(store, message("a", 1));
    await offer(store, { ...message("a", 2), topic: "elsewhere" });
    await offer(store, message("a", 3, 5_000));
    await offer(store, { ...message("a", 4), topic: "t/demo/d/a/state" });
    await offer(store, message("a", 5));
  });
  assert.deepEqual(await target.send(messages), { taken: 5, refused: [] });
  assert.deepEqual(
    (await readTopic(log, "raw")).map(({ value }) => String(value).trim()),
    ["1", "5"],
  );
  const letters = await readTopic(log, "dlq");
  assert.deepEqual(
    letters
      .map(
        ({ key, headers }) =>
          `${String(key)} ${String(headers.get("dlq.reason"))} ${String(headers.get("dlq.stage"))} ${String(headers.get("dlq.source"))}`,
      )
      .sort(),
    ["demo|a too-large gateway t/demo/d/a/telemetry", "null bad-topic gateway elsewhere"],
  );
});

test("a gap is a dead letter without a key, which replay leaves alone", async (t) => {
  const { log, target } = await upstream(t);
  const first = await openStore(t, { onFull: "dropNewest" });
  await Promise.all(Array.from({ length: 12 }, (_, n) => offer(first.store, message("a", n, 100_000))));
  await first.store.close();
  const { store } = await openStore(t, { dir: first.dir });
  const messages = await readAll(store);
  assert.ok(messages.at(-1)?.isGap);
  assert.equal((await target.send(messages)).taken, messages.length);
  const [letter] = await readTopic(log, "dlq");
  assert.equal(letter.key, null);
  assert.equal(letter.headers.get("dlq.reason"), "gateway-gap");
  assert.equal((JSON.parse(String(letter.value)) as { messages: number }).messages, 12 - messages.length + 1);
});

test("a topic that is not there is no reason to drop anything", async (t) => {
  const { log, target } = await upstream(t);
  const messages = await stored(t, (store) => offer(store, message("a", 1)));
  await log.admin.deleteTopics(["raw"]);
  const { taken, error } = await target.send(messages);
  assert.equal(taken, 0);
  assert.match(String(error), /raw/);
  await assert.rejects(target.connect(), { code: "unknown-topic" });
  await log.admin.createTopics([{ name: "raw", partitions: 1, config: {} }]);
  await target.connect();
  assert.equal((await target.send(messages)).taken, 1);
});
