/** A commands service that is frozen for longer than its session while another takes over, and then wakes up: it must send nothing twice. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";
import type { Command } from "../../processors/formats/commands.ts";
import { CleanupList } from "../support/cleanup.ts";
import { TestDevice } from "../support/command-device.ts";
import { commandTopics, createCommandTopics, issue, newCommand, openKafkaLog, startAckIngress } from "../support/command-rig.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertCarriedOut, startChild } from "./commands-run.ts";

const skip = await need("kafka", "mosquitto");
const DEVICES = 12;
const AT_MOST_ONCE_LIFE_MS = 10_000;

test(
  "a service frozen past its session, another in its place, then awake again: no at-most-once command arrives twice",
  { skip },
  async (context) => {
    // What was started last is stopped first.
    const t = new CleanupList();
    context.after(() => t.run());
    const [{ url }, { bootstrap }] = await Promise.all([startMosquitto(t), sharedKafka()]);
    const log = openKafkaLog(t, bootstrap);
    const prefix = uniqueName("frozen");
    const topics = commandTopics(prefix);
    await createCommandTopics(log, topics);
    await startAckIngress(t, log, topics, url);
    const devices = Array.from({ length: DEVICES }, (_, i) => new TestDevice(t, url, { deviceId: `d${i}`, protocolVersion: 5 }));
    await Promise.all(devices.map((device) => device.connect()));

    const commands: Command[] = [];
    let isIssuing = true;
    const issuing = (async () => {
      for (; isIssuing; await delay(150)) {
        const some = devices.map(({ deviceId }, i) => {
          const id = `f${commands.length + i}`;
          if (i % 3 === 0) return newCommand({ id, deviceId });
          return newCommand({
            id,
            deviceId,
            guarantee: "at-most-once",
            qos: i % 3 === 1 ? 0 : 2,
            expiresTs: Date.now() + AT_MOST_ONCE_LIFE_MS,
          });
        });
        commands.push(...some);
        await issue(log, topics.commands, some);
      }
    })();

    const args = [url, bootstrap.join(","), prefix];
    const first = await startChild(t, [...args, "s1"]);
    await waitFor("the first is in full flow", () => first.sent() > 100, { deadlineMs: 30_000 });
    first.freeze();
    const second = await startChild(t, [...args, "s2"]);
    await waitFor("the second carries on", () => second.sent() > 100, { deadlineMs: 40_000 });
    const before = second.sent();
    first.thaw();
    await waitFor("all goes on", () => second.sent() > before + 100, { deadlineMs: 30_000 });
    isIssuing = false;
    await issuing;
    assert.ok(commands.length > 300, `${commands.length} commands`);
    context.diagnostic(await assertCarriedOut(log, topics.status, commands, ({ deviceId }) => devices[Number(deviceId.slice(1))]));
  },
);
