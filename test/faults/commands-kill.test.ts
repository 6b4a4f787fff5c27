/**
 * kill -9 of the commands service (with its ingress) at random moments under load, on real Kafka and Mosquitto. Issue 5: no
 * at-most-once command is carried out twice, no at-least-once command is lost; devices count.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { commandKey, isFinal, NEXT_STATES, type Command } from "../../processors/formats/commands.ts";
import { CleanupList, type Cleanup } from "../support/cleanup.ts";
import { spawnGuarded } from "../support/child-process.ts";
import { TestDevice } from "../support/command-device.ts";
import { commandTopics, createCommandTopics, issue, newCommand, openKafkaLog, readStatuses } from "../support/command-rig.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { seededRandom } from "./seeded-random.ts";

const skip = await need("kafka", "mosquitto");
const CHILD = fileURLToPath(new URL("commands-child.ts", import.meta.url));
const KILLS = 6;
const DEVICES = 12;
/** Only device 0 is away at times: it gets at-least-once commands only, for a broker sheds QoS 0 for whoever is away. */
const SOMETIMES_AWAY = 0;
/** At-most-once commands whose outcome a crash made unknown end when they expire. */
const AT_MOST_ONCE_LIFE_MS = 15_000;

interface Child {
  /** `sent` statuses of this life. */
  sent(): number;
  kill(): Promise<unknown>;
}

async function startChild(t: Cleanup, args: readonly string[]): Promise<Child> {
  const child = await spawnGuarded(process.execPath, [CHILD, ...args]);
  t.after(async () => void (await child.kill()));
  let output = "";
  let errors = "";
  child.process.stdout?.setEncoding("utf8").on("data", (text: string) => (output = (output + text).slice(-500)));
  child.process.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const sent = (): number => {
    if (!child.running()) throw new Error(`the service ended: ${errors}`);
    return Number(output.match(/sent (\d+)\n(?!.*sent \d+\n)/s)?.[1] ?? 0);
  };
  return { sent, kill: () => child.kill("SIGKILL") };
}

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
    const statuses = await waitFor(
      "every command has ended",
      async () => {
        const all = await readStatuses(log, topics.status);
        return commands.every((command) => isFinal(all.get(commandKey(command))?.at(-1)?.state ?? "accepted")) ? all : undefined;
      },
      { deadlineMs: 60_000, intervalMs: 250 },
    );

    const ends: Record<string, number> = {};
    let repeated = 0;
    for (const command of commands) {
      const history = statuses.get(commandKey(command)) ?? [];
      const states = history.map(({ state }) => state);
      states.slice(1).forEach((state, i) => assert.ok(NEXT_STATES[states[i]].includes(state), `${command.id}: ${states.join(" ")}`));
      const arrived = devices[Number(command.deviceId.slice(1))].seen.get(command.id) ?? 0;
      const end = history.at(-1);
      const how = [command.guarantee, end?.state, end?.reason].join(" ");
      ends[how] = (ends[how] ?? 0) + 1;
      if (command.guarantee === "at-most-once") {
        assert.ok(arrived <= 1, `${command.id} (QoS ${command.qos}) arrived ${arrived} times: ${states.join(" ")}`);
        if (end?.state === "acknowledged") assert.equal(arrived, 1);
      } else {
        assert.ok(arrived >= 1, `${command.id} never arrived`);
        assert.equal(end?.state, "acknowledged", `${command.id}: ${states.join(" ")}`);
        repeated += arrived - 1;
      }
    }
    assert.ok(commands.length > 300, `${commands.length} commands`);
    context.diagnostic(`${commands.length} commands; ${repeated} repetitions of at-least-once commands; ends: ${JSON.stringify(ends)}`);
  },
);
