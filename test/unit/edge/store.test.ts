import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { waitFor } from "../../support/wait-for.ts";
import { MIB, message, offer, openStore, readAll, texts } from "./support.ts";

const KIB = 1024;

test("what was stored is there after a restart, in order, with its receive time and headers; what was forwarded is not", async (t) => {
  const first = await openStore(t);
  const outcomes = [1, 2, 3, 4].map((n) => offer(first.store, message(n % 2 === 0 ? "a" : "b", n)));
  assert.deepEqual(await Promise.all(outcomes), ["stored", "stored", "stored", "stored"]);
  const [one] = await readAll(first.store);
  first.store.forwarded(one.offset + 1);
  await first.store.close();

  const { store, now } = await openStore(t, { dir: first.dir });
  const found = await readAll(store);
  assert.deepEqual(texts(found), ["a 2", "b 3", "a 4"]);
  assert.equal(store.stats().messages, 3);
  const [{ key, receivedTs, headers }] = found;
  assert.equal(String(key), "demo|a");
  assert.equal(receivedTs, now);
  assert.deepEqual(
    headers.map((header) => `${header.key} ${String(header.value)}`),
    [
      "mqtt.topic t/demo/d/a/telemetry",
      "mqtt.qos 1",
      "mqtt.dup 0",
      "mqtt.retain 0",
      "content-type application/json",
      `ingress.ts ${now}`,
      "ingress.id g1",
    ],
  );
});

test("a message is said to be stored when it is written, and not before", async (t) => {
  const { store } = await openStore(t, { fsync: true });
  const written: number[] = [];
  const outcomes = Array.from(
    { length: 5 },
    (_, n) =>
      new Promise<void>((resolve) => {
        store.offer(message("a", n), () => {
          written.push(store.stats().stored);
          resolve();
        });
      }),
  );
  await Promise.all(outcomes);
  assert.ok(
    written.every((stored, n) => stored > n),
    `written when told: ${written.join(", ")}`,
  );
});

test("refuse: a full store takes nothing, and takes again when something was forwarded", async (t) => {
  const { store } = await openStore(t, { maxBytes: MIB });
  const outcomes = await Promise.all(Array.from({ length: 20 }, (_, n) => offer(store, message("a", n, 100 * KIB))));
  assert.equal(outcomes.filter((outcome) => outcome === "stored").length, 10);
  assert.equal(store.stats().refused, 10);
  assert.ok(store.stats().bytes <= MIB);
  const found = await readAll(store);
  assert.deepEqual(
    texts(found),
    Array.from({ length: 10 }, (_, n) => `a ${n}`),
  );
  store.forwarded(found[9].offset + 1);
  await waitFor("room", () => store.stats().bytes === 0);
  assert.equal(await offer(store, message("a", 99)), "stored");
});

test("dropNewest: a full store acknowledges and drops, counts it, and tells it by a marker behind what it has", async (t) => {
  const first = await openStore(t, { onFull: "dropNewest" });
  const outcomes = await Promise.all(Array.from({ length: 13 }, (_, n) => offer(first.store, message(n < 12 ? "a" : "b", n, 100 * KIB))));
  assert.equal(outcomes.filter((outcome) => outcome === "dropped").length, 3);
  assert.equal(first.store.stats().dropped.full, 3);
  await first.store.close();
  const { store } = await openStore(t, { dir: first.dir });
  const found = texts(await readAll(store));
  assert.deepEqual(found.slice(9), ["a 9", 'gap full 3 {"demo|a":2,"demo|b":1} 0']);
});

test("dropOldest: the newest are kept within the bound, every message that went is counted and told, by device", async (t) => {
  const { store } = await openStore(t, { onFull: "dropOldest" });
  for (let n = 0; n < 40; n++) assert.equal(await offer(store, message(n % 2 === 0 ? "a" : "b", n, 100 * KIB)), "stored");
  assert.ok(store.stats().bytes <= MIB, `${store.stats().bytes} bytes`);
  const found = texts(await readAll(store));
  const kept = found.filter((text) => !text.startsWith("gap"));
  const [first] = kept.map((text) => Number(text.split(" ")[1]));
  assert.ok(first > 25, `the oldest kept is ${first}`);
  assert.deepEqual(
    kept,
    Array.from({ length: 40 - first }, (_, at) => `${(first + at) % 2 === 0 ? "a" : "b"} ${first + at}`),
  );
  assert.equal(store.stats().dropped.full, first);
  const told = found.filter((text) => text.startsWith("gap")).map((text) => Number(text.split(" ")[2]));
  assert.equal(
    told.reduce((sum, count) => sum + count, 0),
    first,
    "markers that went with the oldest are in the later ones",
  );
});

test("what is older than maxAgeMs goes, counted and told", async (t) => {
  const opened = await openStore(t, { maxAgeMs: 10_000 });
  const { store } = opened;
  await offer(store, message("a", 2));
  opened.now += 8_000;
  await offer(store, message("a", 3));
  const { epoch } = store;
  opened.now += 3_000;
  // It is counted before its marker is written and it is gone; readAll() in between would wait for what is not there.
  await waitFor("the old one is gone", () => store.epoch !== epoch);
  assert.equal(store.stats().dropped.expired, 1);
  assert.deepEqual(texts(await readAll(store)), ["a 3", 'gap expired 1 {"demo|a":1} 0']);
});

test("what the uplink had fetched does not hold any more once it was dropped", async (t) => {
  const { store } = await openStore(t, { onFull: "dropOldest" });
  await offer(store, message("a", 0, 100 * KIB));
  await readAll(store);
  const { epoch } = store;
  for (let n = 1; n < 12; n++) await offer(store, message("a", n, 100 * KIB));
  assert.notEqual(store.epoch, epoch);
});

test("a folder that another gateway has is refused", async (t) => {
  const { dir } = await openStore(t);
  await assert.rejects(openStore(t, { dir }), { code: "unavailable" });
});

test("a disk without the wanted room takes nothing, whatever the policy", async (t) => {
  const { store } = await openStore(t, { onFull: "dropOldest", minFreeBytes: Number.MAX_SAFE_INTEGER });
  assert.equal(await offer(store, message("a", 1)), "refused");
  assert.equal(store.stats().diskFull, true);
});

test("the disk is given back what was forwarded (iotedge #3981, #2674)", async (t) => {
  const { store, dir } = await openStore(t, { maxBytes: 256 * MIB });
  const bytesOnDisk = (): number =>
    readdirSync(dir).reduce((sum, name) => sum + (statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0), 0);
  const payload = randomBytes(MIB);
  for (let n = 0; n < 48; n++) await offer(store, { ...message("a", n), payload });
  assert.ok(bytesOnDisk() > 48 * MIB);
  store.forwarded(48);
  await waitFor("an empty store takes little", () => bytesOnDisk() < 16 * MIB);
});
