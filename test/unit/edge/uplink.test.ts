import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import type { StoredMessage } from "../../../bridge/edge/message.ts";
import type { UplinkSettings } from "../../../bridge/edge/settings.ts";
import { Uplink, type Sent, type UplinkTarget } from "../../../bridge/edge/uplink.ts";
import { CleanupList } from "../../support/cleanup.ts";
import { waitFor } from "../../support/wait-for.ts";
import { MIB, SILENT, message, offer, openStore, texts } from "./support.ts";

const SETTINGS: UplinkSettings = { batchBytes: 64 * 1024, batchMessages: 3, minBackOffMs: 1, maxBackOffMs: 5 };

/** What is upstream, in the order it came; `plan` says of each batch how far it comes. */
class FakeTarget implements UplinkTarget {
  readonly upstream: string[] = [];
  readonly plan: ((batch: number) => Sent | undefined)[] = [];
  isAway = false;
  behind = 0;
  connects = 0;
  sends = 0;

  connect(): Promise<void> {
    this.connects++;
    return this.isAway ? Promise.reject(new Error("away")) : Promise.resolve();
  }

  send(messages: readonly StoredMessage[]): Promise<Sent> {
    const sent = this.plan[this.sends++]?.(messages.length) ?? { taken: messages.length, refused: [] };
    this.upstream.push(...texts(messages.slice(0, sent.taken)));
    return Promise.resolve(sent);
  }

  fellBehind(): void {
    this.behind++;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

async function start(t: Pick<TestContext, "after">, settings: Partial<UplinkSettings> = {}, store?: Awaited<ReturnType<typeof openStore>>) {
  const opened = store ?? (await openStore(t));
  const target = new FakeTarget();
  const uplink = new Uplink(opened.store, target, { ...SETTINGS, ...settings }, SILENT);
  const stop = async (): Promise<void> => {
    await uplink.stop();
    await running;
  };
  const run = (): Promise<void> => (running = uplink.run());
  let running: Promise<void> | undefined;
  t.after(stop);
  return { ...opened, target, uplink, run, stop };
}

test("whatever fails, and however far a batch came: everything is upstream in order, and what came again came in order too", async () => {
  const failures = fc.array(fc.integer({ min: -1, max: 3 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(failures, fc.integer({ min: 1, max: 25 }), async (plan, count) => {
      const cleanup = new CleanupList();
      try {
        const { store, target, run } = await start(cleanup);
        for (const taken of plan)
          target.plan.push((batch) => (taken < 0 ? undefined : { taken: Math.min(taken, batch), refused: [], error: new Error("lost") }));
        for (let n = 0; n < count; n++) await offer(store, message("a", n));
        void run();
        await waitFor("all is forwarded", () => store.stats().messages === 0);
        assert.deepEqual(
          target.upstream,
          Array.from({ length: count }, (_, n) => `a ${n}`),
        );
      } finally {
        await cleanup.run();
      }
    }),
    { numRuns: 25 },
  );
});

test("an uplink that is away is tried again without end, said to be down, and takes everything once it is back", async (t) => {
  const { store, target, uplink, run } = await start(t);
  target.isAway = true;
  void run();
  for (let n = 0; n < 5; n++) assert.equal(await offer(store, message("a", n)), "stored");
  await waitFor("some attempts", () => uplink.stats().failures > 3);
  assert.equal(uplink.stats().up, false);
  assert.equal(store.stats().messages, 5);
  target.isAway = false;
  await waitFor("all is forwarded", () => store.stats().messages === 0);
  assert.equal(uplink.stats().up, true);
});

test("what was forwarded does not go again after a restart, what was not does", async (t) => {
  const first = await start(t);
  for (let n = 0; n < 6; n++) await offer(first.store, message("a", n));
  first.target.plan.push(
    () => undefined,
    () => ({ taken: 1, refused: [], error: new Error("lost") }),
  );
  first.target.isAway = false;
  const lost = waitFor("the failure", () => first.uplink.stats().failures > 0);
  void first.run();
  await lost;
  first.target.isAway = true;
  await first.stop();
  const forwarded = first.target.upstream.length;
  await first.store.close();
  const second = await start(t, {}, await openStore(t, { dir: first.dir }));
  void second.run();
  await waitFor("the rest", () => second.store.stats().messages === 0);
  assert.deepEqual(
    [...first.target.upstream, ...second.target.upstream],
    Array.from({ length: 6 }, (_, n) => `a ${n}`),
  );
  assert.equal(second.target.upstream.length, 6 - forwarded);
});

test("what upstream will never take is passed over, counted, and told behind it", async (t) => {
  const { store, target, run, dir, stop } = await start(t);
  for (let n = 0; n < 3; n++) await offer(store, message("a", n));
  const refused = { offset: 1, key: Buffer.from("demo|a"), value: Buffer.from("1"), receivedTs: 0 } as StoredMessage;
  target.plan.push((batch) => ({ taken: batch, refused: [refused] }));
  void run();
  await waitFor("all is forwarded", () => store.stats().messages === 0);
  assert.equal(store.stats().dropped.refused, 1);
  await stop();
  await store.close();
  const again = await start(t, {}, await openStore(t, { dir }));
  void again.run();
  await waitFor("the marker", () => again.target.upstream.length === 1);
  assert.deepEqual(again.target.upstream, ['gap refused 1 {"demo|a":1} 0']);
});

test("a rate in bytes is kept to", async (t) => {
  const { store, target, run } = await start(t, { maxBytesPerSecond: 10_000, batchMessages: 1 }, await openStore(t, { maxBytes: 4 * MIB }));
  for (let n = 0; n < 4; n++) await offer(store, message("a", n, 5_000));
  const began = performance.now();
  void run();
  await waitFor("all is forwarded", () => target.upstream.length === 4);
  // 10,000 bytes at once, then 5,000 each half second: the deadline is the requirement.
  assert.ok(performance.now() - began >= 450, `${performance.now() - began} ms`);
});

test("a batch that upstream neither takes nor refuses for long is said to be stuck, to the target too, and once it is taken all is well", async (t) => {
  const { store } = await openStore(t);
  const target = new FakeTarget();
  const gate = Promise.withResolvers<Sent>();
  t.mock.method(target, "send", () => gate.promise, { times: 1 });
  const uplink = new Uplink(store, target, SETTINGS, SILENT, 20);
  const running = uplink.run();
  t.after(async () => {
    await uplink.stop();
    await running;
  });
  await offer(store, message("a", 0));
  await waitFor("it is stuck", () => target.behind === 1);
  assert.deepEqual(uplink.stats(), { up: false, failures: 0 });
  gate.resolve({ taken: 1, refused: [] });
  await waitFor("it is up again", () => uplink.stats().up);
  assert.equal(target.behind, 1);
});
