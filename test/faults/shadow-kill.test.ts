/**
 * kill -9 of worker and ingress amid changes of shadows, on real Kafka and Mosquitto: versions without a gap, no change lost or applied
 * twice, nothing superseded sent afterwards, and in the end every device is as desired.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { KeyedSender } from "../../bridge/keyed-sender.ts";
import { readTable } from "../../bridge/read-table.ts";
import type { ShadowDocument, ShadowRequest } from "../../processors/formats/shadow.ts";
import { CleanupList } from "../support/cleanup.ts";
import { openKafkaLog } from "../support/command-rig.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { ShadowDevice } from "../support/shadow-device.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto");
const DEVICES = 6;
const CHANGE_PAUSE_MS = 20;
const ROUNDS: readonly (readonly ("worker" | "ingress")[])[] = [["worker"], ["ingress"], ["worker", "ingress"]];

test(
  "kill -9 of worker and ingress: no change lost or applied twice, and every device is as desired in the end",
  { skip },
  async (context) => {
    // What was started last is stopped first.
    const t = new CleanupList();
    context.after(() => t.run());
    const [{ url }, { bootstrap }] = await Promise.all([startMosquitto(t), sharedKafka()]);
    const log = openKafkaLog(t, bootstrap);
    const name = uniqueName("shadow-kill");
    const names = ["raw", "normalized", "aggregates", "alerts", "dlq", "deviceState"];
    const config = {
      applicationId: name,
      instanceId: "w1",
      kafka: { brokers: bootstrap, sessionTimeoutMs: 6_000 },
      mqtt: { url, clientId: name },
      topics: Object.fromEntries(names.map((topic) => [topic, `${name}-${topic}`])),
      shadow: { enabled: true, updatesTopic: `${name}-updates`, topic: `${name}-shadows` },
      topicDefaults: { partitions: 2 },
      state: { dir: tempDir(t, "state") },
      http: { port: 0 },
    };
    const create = await runCli(t, ["topics", "create"], { config });
    assert.equal(create.code, 0, create.stderr);
    const devices = await Promise.all(
      Array.from({ length: DEVICES }, (_, i) => new ShadowDevice(t, url, `d${i}`, i % 2 === 0 ? 5 : 4).connect()),
    );
    const heard = (): number => devices.reduce((sum, { messages }) => sum + messages.length, 0);

    // Each change is a number of its own, one more than the last of its device: one that is lost, or comes again, shows.
    const changes = Array.from({ length: DEVICES }, () => 0);
    const sender = new KeyedSender(log, config.shadow.updatesTopic);
    t.after(() => sender.close());
    let isChanging = true;
    const changing = (async () => {
      for (let i = 0; isChanging; i = (i + 1) % DEVICES) {
        const n = ++changes[i];
        const request: ShadowRequest = { v: 1, id: `r${n}`, tenant: "demo", deviceId: `d${i}`, op: "patch", state: { n } };
        await sender.send(`demo|d${i}`, request);
        // Some come twice, as from a client that had no answer, and after what came next.
        if (n % 5 === 0) await sender.send(`demo|d${i}`, { ...request, id: `r${n - 1}`, state: { n: n - 1 } });
        await delay(CHANGE_PAUSE_MS);
      }
    })();

    const start = (who: "worker" | "ingress"): Promise<CliProcess> => spawnCli(t, [who], { config });
    const running = { worker: await start("worker"), ingress: await start("ingress") };
    for (const round of ROUNDS) {
      const before = heard();
      await waitFor("devices hear of changes", () => heard() >= before + 30, { deadlineMs: 30_000, intervalMs: 5 });
      await Promise.all(round.map((who) => running[who].kill("SIGKILL")));
      for (const who of round) running[who] = await start(who);
    }
    isChanging = false;
    await changing;

    const rows = new Map<string, ShadowDocument[]>();
    await waitFor(
      "every device is as desired",
      async () => {
        rows.clear();
        await readTable(log, config.shadow.topic, (key, value) => {
          rows.set(key, [...(rows.get(key) ?? []), JSON.parse(String(value)) as ShadowDocument]);
        });
        for (let i = 0; i < DEVICES; i++) {
          const last = rows.get(`demo|d${i}`)?.at(-1);
          assert.deepEqual([last?.desired, last?.delta, devices[i].state], [{ n: changes[i] }, undefined, { n: changes[i] }]);
        }
        return true;
      },
      { deadlineMs: 30_000, intervalMs: 200 },
    );

    for (let i = 0; i < DEVICES; i++) {
      const documents = rows.get(`demo|d${i}`) ?? [];
      const versions = [...new Set(documents.map(({ version }) => version))];
      assert.deepEqual(
        versions,
        Array.from(versions, (_, at) => at + 1),
        `versions of d${i}`,
      );
      const desired = [...new Set(documents.map((row) => row.desired.n))];
      assert.deepEqual(
        desired,
        Array.from({ length: changes[i] }, (_, at) => at + 1),
        `changes of d${i}`,
      );
      const reported = documents.map((row) => Number(row.reported.n ?? 0));
      for (const told of [documents.map((row) => Number(row.desired.n)), reported, devices[i].versions])
        told.slice(1).forEach((value, at) => assert.ok(value >= told[at], `d${i} went back from ${told[at]} to ${value}`));
    }
    const all = changes.reduce((sum, count) => sum + count, 0);
    assert.ok(all > 100, `${all} changes`);
    context.diagnostic(`${all} changes, ${heard()} deltas sent, ${ROUNDS.flat().length} kills`);
  },
);
