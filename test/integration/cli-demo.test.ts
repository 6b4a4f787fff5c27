import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import mqtt from "mqtt";
import { spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";

interface Running {
  dashboard: string;
  api: string;
  mqtt: string;
}

const ANY_PORT = { mqtt: { url: "mqtt://127.0.0.1:0" }, http: { port: 0 } };

async function startDemo(t: TestContext, dir: string): Promise<{ cli: CliProcess; running: Running }> {
  const cli = await spawnCli(t, ["demo", "--json"], { config: { ...ANY_PORT, state: { dir } } });
  const [line] = await cli.waitForOutput(/^\{.*"event":"running".*\}$/m, 60_000);
  return { cli, running: JSON.parse(line) as Running };
}

async function get(url: string): Promise<unknown> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) });
  return answer.ok ? answer.json() : undefined;
}

async function received(running: Running, device: string): Promise<number> {
  const ledger = (await get(`${running.api}/${device}/ledger`)) as { received: number } | undefined;
  return ledger?.received ?? 0;
}

test("the demo shows live devices, takes a publisher's message within 2 s, stops cleanly and goes on where it was", async (t) => {
  const dir = tempDir(t, "demo");
  const first = await startDemo(t, dir);
  await waitFor("21 devices", async () => ((await get(`${first.running.api}?limit=100`)) as { devices: unknown[] }).devices.length === 21, {
    deadlineMs: 30_000,
  });
  const publisher = await mqtt.connectAsync(first.running.mqtt);
  await publisher.publishAsync(
    "t/demo/d/device-123/telemetry",
    JSON.stringify({ deviceId: "device-123", ts: Date.now(), seq: 1, tempC: 21.5, rpm: 1200 }),
    { qos: 1 },
  );
  await waitFor("its last value", async () => JSON.stringify(await get(`${first.running.api}/device-123`))?.includes("21.5"), {
    deadlineMs: 2_000,
  });
  await publisher.endAsync();
  const before = await received(first.running, "machine-1");
  assert.deepEqual(await first.cli.stop(), { code: 0, signal: null });
  assert.equal(first.cli.stderr(), "");

  const second = await startDemo(t, dir);
  await waitFor("the machine's ledger went on", async () => (await received(second.running, "machine-1")) > before);
  assert.match(JSON.stringify(await get(`${second.running.api}/device-123`)), /21\.5/);
  assert.deepEqual(await second.cli.stop(), { code: 0, signal: null });
});

test("a demo whose ports are taken picks others and says so; a second one on the same data refuses", async (t) => {
  const taken = createServer();
  taken.listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const dir = tempDir(t, "demo");
  const config = { mqtt: { url: `mqtt://127.0.0.1:${port}` }, http: { port }, state: { dir } };
  const cli = await spawnCli(t, ["demo"], { config });
  await cli.waitForOutput(/is running/, 60_000);
  await cli.waitForOutput(new RegExp(`HTTP port ${port} is taken`));
  await cli.waitForOutput(new RegExp(`MQTT port ${port} is taken`));

  const other = await spawnCli(t, ["demo"], { config: { ...ANY_PORT, state: { dir } } });
  assert.equal((await other.exited).code, 1);
  assert.notEqual(other.stderr(), "");
  assert.equal((await cli.stop()).code, 0);
});

test("tokens of tenants: each opens its own, a replaced file counts without a restart, and a wrong one is refused at the start", async (t) => {
  const tokensFile = join(tempDir(t, "tokens"), "tokens.yaml");
  const say = (token: string): void => {
    const tokens = [
      { name: "demo", token, tenants: ["demo"], permissions: ["read"] },
      { name: "other", token: "of-another-tenant", tenants: ["other"], permissions: ["read"] },
    ];
    writeFileSync(tokensFile, JSON.stringify({ tokens }));
  };
  say("of-the-demo-tenant");
  const config = { ...ANY_PORT, http: { port: 0, tokensFile }, state: { dir: tempDir(t, "demo") } };
  const cli = await spawnCli(t, ["demo", "--json"], { config });
  const [line] = await cli.waitForOutput(/^\{.*"event":"running".*\}$/m, 60_000);
  const { api } = JSON.parse(line) as Running;
  const status = async (token?: string): Promise<number> =>
    (await fetch(api, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })).status;
  assert.deepEqual([await status("of-the-demo-tenant"), await status("of-another-tenant"), await status()], [200, 403, 401]);
  say("of-the-demo-tenant-anew");
  await waitFor("the new token counts", async () => (await status("of-the-demo-tenant-anew")) === 200);
  assert.equal(await status("of-the-demo-tenant"), 401);
  assert.equal((await cli.stop()).code, 0);

  writeFileSync(tokensFile, "tokens: [{ name: demo, token: secret-text, tenants: [demo], permissions: [read] }]");
  const refused = await spawnCli(t, ["demo"], { config });
  assert.equal((await refused.exited).code, 2);
  assert.match(refused.stderr(), /tokens\.yaml is wrong:\n {2}tokens\[0\]\.token: must have at least 16 characters/);
  assert.doesNotMatch(refused.stderr(), /secret-text/);
});

test("what Node compiled is kept while a service runs: one that is killed has it at its next start", async (t) => {
  const compiled = tempDir(t, "compiled");
  const config = { ...ANY_PORT, state: { dir: tempDir(t, "demo") } };
  const cli = await spawnCli(t, ["demo", "--json"], { config, env: { NODE_COMPILE_CACHE: compiled } });
  const files = (): number => readdirSync(compiled, { recursive: true }).length;
  await cli.waitForOutput(/"event":"running"/, 60_000);
  assert.ok(files() < 10, "nothing is written before");
  await waitFor("compiled modules on disk", () => files() > 100, { deadlineMs: 30_000 });
  assert.ok(cli.running());
  await cli.kill("SIGKILL");
});
