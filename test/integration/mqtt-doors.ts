/** Tries every door of a broker that knows its devices by name: their own open, those of a neighbour and of another tenant don't. */
import assert from "node:assert/strict";
import type { IClientOptions, MqttClient } from "mqtt";
import { DEVICE_PUBLISHES, DEVICE_READS } from "../../bridge/device-access.ts";
import { waitFor } from "../support/wait-for.ts";

/** The names that are used: of Sluice itself, and of devices. */
export const SERVICE = "sluice-ingress";
export const DEVICES = ["acme/d/a", "acme/d/b", "evil/d/x"] as const;

/** Connects (MQTT 5, without reconnecting) as one of the names. */
export type Login = (name: string, options?: IClientOptions) => Promise<MqttClient>;

/** What Sluice hears of any device, `topic payload` each. */
export async function listenAsService(login: Login): Promise<{ service: MqttClient; seen: string[] }> {
  const service = await login(SERVICE);
  const seen: string[] = [];
  service.on("message", (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
  await service.subscribeAsync(
    DEVICE_PUBLISHES.map((door) => `t/+/d/+/${door}`),
    { qos: 1 },
  );
  return { service, seen };
}

/** A refusal is no error here. */
export function attempt(client: MqttClient, topic: string, payload: string): Promise<unknown> {
  return client.publishAsync(topic, payload, { qos: 1 }).catch((error: unknown) => error);
}

export async function assertDoors(login: Login): Promise<void> {
  const die = async (username: string, topic: string, payload: string): Promise<unknown> => {
    const client = await login(username, { will: { topic, payload: Buffer.from(payload), qos: 1, retain: true } }).catch(() => undefined);
    return client?.stream.destroy();
  };
  const { service, seen } = await listenAsService(login);
  const victim = await login("acme/d/a");
  const commands: string[] = [];
  victim.on("message", (topic, payload) => commands.push(`${topic} ${payload.toString()}`));
  for (const door of DEVICE_READS) await victim.subscribeAsync(`t/acme/d/a/${door}`, { qos: 1 });

  for (const name of ["evil/d/x", "acme/d/b"]) {
    const attacker = await login(name);
    const overheard: string[] = [];
    attacker.on("message", (topic) => overheard.push(topic));
    const filters = [
      "#",
      "+/+/+/+/+",
      "+/+/+/+/+/+",
      "t/acme/d/a/shadow/delta",
      "t/#",
      "t/acme/#",
      "t/+/d/+/cmd",
      "t/acme/d/a/cmd",
      "t/acme/d/a/telemetry",
      "$share/g/t/acme/d/a/cmd",
      "$SYS/#",
    ];
    for (const filter of filters) await attacker.subscribeAsync(filter, { qos: 1 }).catch(() => undefined);
    for (const door of [...DEVICE_PUBLISHES, ...DEVICE_READS, "cmd/status", "telemetry/x"])
      await attempt(attacker, `t/acme/d/a/${door}`, `by ${name}`);
    await attacker.publishAsync("t/acme/d/a/state", `by ${name}`, { qos: 1, retain: true }).catch(() => undefined);
    for (const door of [...DEVICE_PUBLISHES, ...DEVICE_READS]) await die(name, `t/acme/d/a/${door}`, `by ${name}`);
    await die(name, `t/${name}/state`, `will of ${name}`);
    for (const topic of [`t/${name}/cmd`, "t/acme/telemetry", "t/acme/d/telemetry", "iot.device.registry"])
      await attempt(attacker, topic, `by ${name}`);
    await attempt(victim, "t/acme/d/a/telemetry", "own");
    for (const door of [...DEVICE_READS].reverse()) await attempt(service, `t/acme/d/a/${door}`, "do");
    await attempt(attacker, `t/${name}/telemetry`, `own of ${name}`);
    await waitFor(
      "the rightful ones arrive",
      () =>
        seen.includes(`t/${name}/telemetry own of ${name}`) &&
        seen.includes(`t/${name}/state will of ${name}`) &&
        commands.at(-1) === "t/acme/d/a/cmd do",
    );
    assert.deepEqual(
      seen.filter((text) => text.endsWith(`by ${name}`)),
      [],
    );
    assert.deepEqual(overheard, []);
  }
  const later = await login(SERVICE, { clientId: "later" });
  const retained: string[] = [];
  later.on("message", (topic, payload) => retained.push(`${topic} ${payload.toString()}`));
  await later.subscribeAsync("t/+/d/+/state", { qos: 1 });
  await waitFor("the retained wills of the devices' own", () => retained.length === 2);
  assert.deepEqual(retained.sort(), ["t/acme/d/b/state will of acme/d/b", "t/evil/d/x/state will of evil/d/x"]);
  const rightful = DEVICE_READS.map((door) => `t/acme/d/a/${door} do`);
  assert.deepEqual(new Set(commands), new Set(rightful), "the victim was told by Sluice alone, by each of its doors");
  for (const door of DEVICE_PUBLISHES) await attempt(victim, `t/acme/d/a/${door}`, "last");
  await waitFor("what a device may say", () => DEVICE_PUBLISHES.every((door) => seen.includes(`t/acme/d/a/${door} last`)));
}
