/** Commands to devices behind `sluice gateway`, over a real Mosquitto and a line that is cut: down to the device, and its answer up again. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { commandKey, type Command, type CommandStatus } from "../../processors/formats/commands.ts";
import { BrokerProxy } from "../support/broker-proxy.ts";
import { CleanupList, type Cleanup } from "../support/cleanup.ts";
import { TestDevice } from "../support/command-device.ts";
import {
  commandTopics,
  createCommandTopics,
  issue,
  makeCommandService,
  newCommand,
  readStatuses,
  startAckIngress,
  type CommandTopics,
} from "../support/command-rig.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { runCommand } from "../support/run-command.ts";
import { spawnCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const noMosquitto = await need("mosquitto");
const PASSWORD = "secret";

interface World {
  readonly log: EventLog;
  readonly topics: CommandTopics;
  /** The gateway's, for devices. */
  readonly url: string;
  readonly proxy: BrokerProxy;
  metrics(): Promise<string>;
  /** kill -9, and a new one on the same store and port. */
  killAndStart(): Promise<void>;
}

/** What was started last is stopped first. */
function reversed(context: TestContext): Cleanup {
  const list = new CleanupList();
  context.after(() => list.run());
  return list;
}

/** Log, Mosquitto, commands service and ingress at it; a gateway behind a proxy, with devices `demo/d/device-1` and `other/d/device-1`. */
async function world(t: Cleanup, protocolVersion: 4 | 5): Promise<World> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "gateway-commands-log") });
  t.after(() => log.close());
  const topics = commandTopics(uniqueName("gwcmd"));
  await createCommandTopics(log, topics);
  const mosquitto = await startMosquitto(t);
  const proxy = await BrokerProxy.start(t, mosquitto.port);
  await startAckIngress(t, log, topics, mosquitto.url);
  const service = makeCommandService(t, log, topics, mosquitto.url);
  await service.start();
  const passwordsFile = join(tempDir(t, "passwords"), "passwords");
  for (const [index, name] of ["demo/d/device-1", "other/d/device-1"].entries()) {
    const made = await runCommand("mosquitto_passwd", ["-b", ...(index === 0 ? ["-c"] : []), passwordsFile, name, PASSWORD], {
      timeoutMs: 10_000,
    });
    assert.equal(made.code, 0, made.stderr);
  }
  const dir = tempDir(t, "gateway");
  let port = 0;
  const start = async () => {
    const config = {
      mqtt: { url: `mqtt://${proxy.address}`, protocolVersion, keepaliveS: 2 },
      gateway: {
        id: "g1",
        listen: { port, passwordsFile },
        store: { dir },
        uplink: { to: "mqtt", minBackOffMs: 20, maxBackOffMs: 100 },
        downlink: { ackTimeoutMs: 2_000 },
        http: { port: 0 },
      },
    };
    const gateway = await spawnCli(t, ["gateway"], { config });
    const [, taken] = await gateway.waitForOutput(/"port":(\d+),"uplink"/);
    const [, http] = await gateway.waitForOutput(/"http":(\d+)/);
    port = Number(taken);
    return { gateway, http };
  };
  let { gateway, http } = await start();
  return {
    log,
    topics,
    url: `mqtt://127.0.0.1:${port}`,
    proxy,
    metrics: async () => (await fetch(`http://127.0.0.1:${http}/metrics`)).text(),
    killAndStart: async () => {
      await gateway.kill();
      ({ gateway, http } = await start());
    },
  };
}

function untilState({ log, topics }: World, command: Command, state: CommandStatus["state"]): Promise<CommandStatus> {
  return waitFor(
    `${command.id} is ${state}`,
    async () => {
      const status = (await readStatuses(log, topics.status)).get(commandKey(command))?.at(-1);
      return status?.state === state ? status : undefined;
    },
    { deadlineMs: 20_000 },
  );
}

for (const version of [4, 5] as const) {
  test(
    `MQTT ${version}: each QoS and guarantee reaches a device behind a gateway, and its answer comes back, with the uplink cut meanwhile`,
    { skip: noMosquitto, timeout: 90_000 },
    async (context) => {
      const t = reversed(context);
      const on = await world(t, version);
      const device = new TestDevice(t, on.url, { protocolVersion: version, username: "demo/d/device-1", password: PASSWORD });
      device.answer = { status: "ok", result: { done: true } };
      await device.connect();
      const commands = [
        newCommand({ guarantee: "at-most-once", qos: 0 }),
        newCommand({ guarantee: "at-most-once", qos: 2 }),
        newCommand({ guarantee: "at-least-once", qos: 1 }),
        newCommand({ guarantee: "at-least-once", qos: 2 }),
      ];
      await waitFor("it is subscribed upstream", async () => (await on.metrics()).includes("sluice_gateway_down_topics 1\n"));
      await issue(on.log, on.topics.commands, commands);
      for (const command of commands) {
        const status = await untilState(on, command, "acknowledged");
        assert.deepEqual(status.result, { done: true });
      }
      for (const { id, guarantee } of commands) {
        if (guarantee === "at-most-once") assert.equal(device.seen.get(id), 1);
        else assert.ok((device.seen.get(id) ?? 0) >= 1);
      }
      if (version === 5) {
        const { properties } = device.packets[0];
        assert.equal(properties?.responseTopic, "t/demo/d/device-1/cmd/ack");
        assert.equal(String(properties?.correlationData), commands[0].id);
        assert.equal(properties?.userProperties?.name, "blink");
        assert.ok(Number(properties?.messageExpiryInterval) > 0);
      }

      // The line is down: the broker keeps them in the gateway's session. It comes back: each arrives, at-most-once once.
      on.proxy.refuse();
      await waitFor("the gateway notices", async () => (await on.metrics()).includes("sluice_gateway_down_connected 0\n"), {
        deadlineMs: 10_000,
      });
      const during = [newCommand({ guarantee: "at-least-once" }), newCommand({ guarantee: "at-most-once", qos: 2 })];
      await issue(on.log, on.topics.commands, during);
      for (const command of during) await untilState(on, command, "delivered");
      for (const { id } of during) assert.equal(device.seen.get(id), undefined);
      on.proxy.calm();
      for (const command of during) await untilState(on, command, "acknowledged");
      assert.equal(device.seen.get(during[1].id), 1);
    },
  );
}

test(
  "cut again and again amid commands: no at-most-once command comes twice, every at-least-once one is acknowledged",
  { skip: noMosquitto, timeout: 120_000 },
  async (context) => {
    const t = reversed(context);
    const on = await world(t, 5);
    const device = new TestDevice(t, on.url, { protocolVersion: 5, username: "demo/d/device-1", password: PASSWORD });
    await device.connect();
    const once: Command[] = [];
    const least: Command[] = [];
    for (let round = 0; round < 12; round++) {
      const some = [0, 1, 2].map(() => newCommand({ guarantee: "at-most-once", qos: 2 }));
      const others = [0, 1, 2].map(() => newCommand({ guarantee: "at-least-once", qos: round % 2 === 0 ? 1 : 2 }));
      once.push(...some);
      least.push(...others);
      const before = device.packets.length;
      await issue(on.log, on.topics.commands, [...some, ...others]);
      await waitFor("some came", () => device.packets.length > before, { deadlineMs: 20_000 });
      if (round === 8) await on.killAndStart();
      else if (round % 4 === 2) {
        await device.disconnect();
        await device.connect();
      } else on.proxy.cut();
    }
    for (const command of least) await untilState(on, command, "acknowledged");
    for (const { id } of once) assert.ok((device.seen.get(id) ?? 0) <= 1, `${id} came twice`);
    t.after(() => context.diagnostic(`${once.filter(({ id }) => device.seen.has(id)).length} of ${once.length} at-most-once came`));
  },
);

test(
  "another tenant's device reads no command at a gateway, by any filter, and one without a name none at all",
  { skip: noMosquitto, timeout: 60_000 },
  async (context) => {
    const t = reversed(context);
    const on = await world(t, 5);
    const device = new TestDevice(t, on.url, { protocolVersion: 5, username: "demo/d/device-1", password: PASSWORD });
    await device.connect();
    const stranger = new TestDevice(t, on.url, { tenant: "other", protocolVersion: 5, username: "other/d/device-1", password: PASSWORD });
    await stranger.connect();
    const filters = ["t/demo/d/device-1/cmd", "t/+/d/device-1/cmd", "t/#", "#", "$share/x/t/demo/d/device-1/cmd", "t/other/d/device-2/cmd"];
    for (const filter of filters) await assert.rejects(stranger.subscribe(filter), filter);
    const command = newCommand();
    await issue(on.log, on.topics.commands, [command]);
    await untilState(on, command, "acknowledged");
    assert.deepEqual([device.packets.length > 0, stranger.packets.length], [true, 0]);
    assert.match(await on.metrics(), new RegExp(`sluice_gateway_denied_subscriptions_total ${filters.length}\n`));
  },
);
