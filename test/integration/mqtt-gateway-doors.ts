/** Tries every door of a broker that knows gateways by name: those of a gateway's own devices are open, those of others are not. */
import assert from "node:assert/strict";
import { DEVICE_PUBLISHES, DEVICE_READS } from "../../bridge/device-access.ts";
import { waitFor } from "../support/wait-for.ts";
import { attempt, listenAsService, type Login } from "./mqtt-doors.ts";

/** As `mqtt.gateways` names them: one of a device, one of a whole tenant. */
export const GATEWAYS = [
  { user: "gw-a", id: "plant-a", devices: ["acme|a"], tenants: [] },
  { user: "gw-evil", devices: [], tenants: ["evil"] },
] as const;

const OF_GATEWAYS = {
  "gw-a": { own: "acme/d/a", others: ["acme/d/b", "acme/d/ab", "evil/d/x"], gap: "sluice/gateways/plant-a/gap" },
  "gw-evil": { own: "evil/d/new", others: ["acme/d/a", "acme/d/b"], gap: "sluice/gateways/gw-evil/gap" },
} as const;

export async function assertGatewayDoors(login: Login): Promise<void> {
  const { service, seen } = await listenAsService(login);

  for (const [name, { own, others, gap }] of Object.entries(OF_GATEWAYS)) {
    const gateway = await login(name);
    const heard: string[] = [];
    gateway.on("message", (topic) => heard.push(topic));
    const foreign = others.flatMap((other) => DEVICE_READS.map((door) => `t/${other}/${door}`));
    const wild = ["#", "t/#", "t/+/d/+/cmd", "t/acme/#", "$share/g/t/acme/d/b/cmd", "sluice/#", "$SYS/#"];
    for (const filter of [...foreign, ...wild, ...others.flatMap((other) => DEVICE_PUBLISHES.map((door) => `t/${other}/${door}`))])
      await gateway.subscribeAsync(filter, { qos: 1 }).catch(() => undefined);
    for (const other of others)
      for (const door of [...DEVICE_PUBLISHES, ...DEVICE_READS]) {
        const topic = `t/${other}/${door}`;
        await attempt(gateway, topic, `by ${name}`);
        const dying = await login(name, {
          clientId: "dying",
          will: { topic, payload: Buffer.from(`by ${name}`), qos: 1, retain: false },
        }).catch(
          () => undefined, // refused for its will
        );
        dying?.stream.destroy();
      }
    for (const door of DEVICE_READS) await attempt(gateway, `t/${own}/${door}`, `by ${name}`);
    await attempt(gateway, "sluice/gateways/other/gap", `by ${name}`);
    for (const other of others) await attempt(service, `t/${other}/cmd`, "do");
    assert.deepEqual(heard, [], `${name} hears nothing of others, nor of itself`);

    for (const door of DEVICE_READS) await gateway.subscribeAsync(`t/${own}/${door}`, { qos: 1 });
    for (const door of DEVICE_READS) await attempt(service, `t/${own}/${door}`, "do");
    for (const door of DEVICE_PUBLISHES) await attempt(gateway, `t/${own}/${door}`, `own of ${name}`);
    await waitFor("the rightful ones", () => {
      assert.deepEqual(new Set(heard), new Set(DEVICE_READS.map((door) => `t/${own}/${door}`)));
      return DEVICE_PUBLISHES.every((door) => seen.includes(`t/${own}/${door} own of ${name}`));
    });
    await gateway.publishAsync(gap, "{}", { qos: 1 });
    assert.deepEqual(
      seen.filter((text) => text.endsWith(`by ${name}`)),
      [],
    );
  }
}
