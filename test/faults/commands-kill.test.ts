/**
 * kill -9 of the commands service (with its ingress) at random moments under load, on real Kafka and Mosquitto. Issue 5: no
 * at-most-once command is carried out twice, no at-least-once command is lost; devices count.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "../../processors/formats/commands.ts";
import { CleanupList } from "../support/cleanup.ts";
import { TestDevice } from "../support/command-device.ts";
import { commandTopics, createCommandTopics, issue, newCommand, openKafkaLog } from "../support/command-rig.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertCarriedOut, startChild, type Child } from "./commands-run.ts";
import { seededRandom } from "./seeded-random.ts";

const skip = await need("kafka", "mosquitto");
const KILLS = 6;
const DEVICES = 12;
/** Only device 0 is away at times: it gets at-least-once commands only, for a broker sheds QoS 0 for whoever is away. */
const SOMETIMES_AWAY = 0;
/** At-most-once commands whose outcome a crash made unknown end when they expire. */
const AT_MOST_ONCE_LIFE_MS = 6_000;

test(
  `${KILLS} kill -9 under load: no at-most-once command arrives twice, every at-least-once command is acknowledged`,
  { skip },
  async (context) => {
    // What was started last is stopped first.
    const t = new CleanupList();
    context.after(() => t.run());
    const seed = Number(process.env.SLUICE_TEST_SEED ?? Date.now() % 1_000_000);
    context.diagnostic(`seed ${seed}`);
    const random = seededRandom(seed);
    const [{ url }, { bootstrap }] = await Promise.all([startMosquitto(t), sharedKafka()]);
    const log = openKafkaLog(t, bootstrap);
    const prefix = uniqueName("kill");
    const topics = commandTopics(prefix);
    await createCommandTopics(log, topics);
    const devices = Array.from(
      { length: DEVICES },
      (_, i) => new TestDevice(t, url, { deviceId: `d${i}`, protocolVersion: i % 2 === 0 ? 5 : 4 }),
    );
    await Promise.all(devices.map((device) => device.connect()));

    const commands: Command[] = [];
    const issueSome = async (): Promise<void> => {
      const some = Array.from({ length: 12 }, () => {
        const device = Math.floor(random() * DEVICES);
        const guarantee = device === SOMETIMES_AWAY || random() < 0.5 ? "at-least-once" : "at-most-once";
        const least = guarantee === "at-least-once" ? 1 : 0;
        const qos = random() < 0.5 ? 2 : least;
        const life = guarantee === "at-most-once" ? AT_MOST_ONCE_LIFE_MS : 600_000;
        return newCommand({
          id: `k${commands.length}-${Math.floor(random() * 1e9)}`,
          deviceId: `d${device}`,
          guarantee,
          qos,
          expiresTs: Date.now() + life,
        });
      });
      commands.push(...some);
      await issue(log, topics.commands, some);
    };
    let isIssuing = true;
    const issuing = (async () => {
      for (; isIssuing; await delay(40)) await issueSome();
    })();

    const start = (): Promise<Child> => startChild(t, [url, bootstrap.join(","), prefix]);
    let child = await start();
    for (let kill = 0; kill < KILLS; kill++) {
      const enough = 10 + Math.floor(random() * 150);
      await waitFor(`${enough} sent after start ${kill}`, () => child.sent() >= enough, { intervalMs: 2, deadlineMs: 30_000 });
      await child.kill();
      if (kill % 2 === 0) await devices[SOMETIMES_AWAY].disconnect();
      else await devices[SOMETIMES_AWAY].connect();
      child = await start();
    }
    isIssuing = false;
    await issuing;
    assert.ok(commands.length > 300, `${commands.length} commands`);
    context.diagnostic(await assertCarriedOut(log, topics.status, commands, ({ deviceId }) => devices[Number(deviceId.slice(1))]));
  },
);
