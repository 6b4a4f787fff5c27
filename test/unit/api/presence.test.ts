import assert from "node:assert/strict";
import { test } from "node:test";
import type { DevicePresence } from "../../../api/options.ts";
import { STORES } from "../../../processors/formats/records.ts";
import { apiOverFakes } from "./support/api.ts";
import { deviceState } from "./support/rows.ts";
import { bearer, DEVICE, SECRET, twoTenants } from "./support/tenants.ts";

const ONLINE: DevicePresence = { status: "online", reason: "state", sinceTs: 5, lastSeenTs: 4, retained: false, ingress: "one" };

test("a device and each of a list say whether it is there; null where nothing was ever told, nothing where it is not read yet", async (t) => {
  const known = new Map<string, DevicePresence | null>([
    ["d1", ONLINE],
    ["d2", null],
  ]);
  const { app, queries } = apiOverFakes(t, { presence: { of: (_tenant, deviceId) => known.get(deviceId) } });
  for (const id of ["d1", "d2", "d3"]) queries.put(STORES.deviceState, `demo|${id}`, deviceState(id));
  const wanted = [ONLINE, null, undefined];
  const { devices } = (await app.inject("/v1/tenants/demo/devices")).json<{ devices: { presence?: DevicePresence | null }[] }>();
  assert.deepEqual(
    devices.map(({ presence }) => presence),
    wanted,
  );
  for (const [n, presence] of wanted.entries())
    assert.deepEqual(
      (await app.inject(`/v1/tenants/demo/devices/d${n + 1}`)).json<{ presence?: DevicePresence | null }>().presence,
      presence,
    );
});

test("where presence is off, nothing is said of it", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.put(STORES.deviceState, "demo|d1", deviceState("d1"));
  assert.ok(!("presence" in (await app.inject("/v1/tenants/demo/devices/d1")).json<object>()));
});

test("a tenant's token shows presence of that tenant's devices alone, of the same id too", async (t) => {
  const asked: string[] = [];
  const presence = {
    of: (tenant: string, deviceId: string): DevicePresence => {
      asked.push(`${tenant}|${deviceId}`);
      return { ...ONLINE, reason: tenant === "beta" ? SECRET : "of acme" };
    },
  };
  const { app } = twoTenants(t, { presence });
  for (const path of ["", `/${DEVICE}`]) {
    const own = await app.inject({ url: `/v1/tenants/acme/devices${path}`, headers: bearer("acmeReads") });
    assert.match(own.body, /"reason":"of acme"/);
    assert.ok(!own.body.includes(SECRET));
    const others = await app.inject({ url: `/v1/tenants/beta/devices${path}`, headers: bearer("acmeReads") });
    assert.equal(others.statusCode, 403);
    assert.ok(!others.body.includes(SECRET));
  }
  assert.deepEqual(new Set(asked), new Set([`acme|${DEVICE}`]), "no other's is even looked at");
});
