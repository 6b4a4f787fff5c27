import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { FastifyInstance } from "fastify";
import type { CommandGate } from "../../../api/options.ts";
import type { Command, CommandStatus } from "../../../processors/formats/commands.ts";
import { STORES } from "../../../processors/formats/records.ts";
import { SHADOW_BOUNDS } from "../../../processors/formats/shadow.ts";
import { NEW_ROW, NO_STATE } from "../../../processors/shadow/shadow-row.ts";
import { apiOverFakes } from "./support/api.ts";

const URL = "/v1/tenants/demo/devices/d1/commands";

class FakeGate implements CommandGate {
  readonly expiresInMs = 60_000;
  readonly sent: Command[] = [];
  readonly statuses = new Map<string, CommandStatus>();
  failure: Error | undefined;

  async send(command: Command): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.sent.push(command);
  }

  async status(tenant: string, deviceId: string, id: string): Promise<CommandStatus | undefined> {
    if (this.failure !== undefined) throw this.failure;
    return this.statuses.get(`${tenant}|${deviceId}|${id}`);
  }

  async newest(tenant: string, deviceId: string, limit: number): Promise<readonly CommandStatus[]> {
    if (this.failure !== undefined) throw this.failure;
    const own = [...this.statuses.values()].filter((status) => status.tenant === tenant && status.deviceId === deviceId);
    return own.slice(-limit).reverse();
  }
}

function withGate(t: TestContext): { app: FastifyInstance; gate: FakeGate } {
  const gate = new FakeGate();
  return { app: apiOverFakes(t, { commands: gate }).app, gate };
}

function acknowledged(id: string): CommandStatus {
  const device = { tenant: "demo", deviceId: "d1" };
  return {
    v: 1,
    id,
    ...device,
    name: "reboot",
    state: "acknowledged",
    attempts: 1,
    guarantee: "at-least-once",
    ts: 2,
    expiresTs: 3,
    offset: 4,
  };
}

test("a command is taken with 202, where to look for it, and defaults for what was not said", async (t) => {
  const { app, gate } = withGate(t);
  const response = await app.inject({ method: "POST", url: URL, payload: { name: "reboot", payload: { delayS: 5 } } });
  assert.equal(response.statusCode, 202);
  const [command] = gate.sent;
  assert.deepEqual(
    [command.tenant, command.deviceId, command.name, command.payload, command.guarantee, command.qos, command.expiresTs - command.issuedTs],
    ["demo", "d1", "reboot", { delayS: 5 }, "at-least-once", 1, 60_000],
  );
  assert.equal(response.headers.location, `${URL}/${command.id}`);
  assert.deepEqual([response.json().id, response.json().state], [command.id, "queued"]);
});

test("the sender's id is the command's, from the body or as Idempotency-Key; one that is known is answered, not sent again", async (t) => {
  const { app, gate } = withGate(t);
  await app.inject({ method: "POST", url: URL, payload: { name: "reboot", id: "a" } });
  await app.inject({ method: "POST", url: URL, payload: { name: "reboot" }, headers: { "idempotency-key": "b" } });
  assert.deepEqual(
    gate.sent.map(({ id }) => id),
    ["a", "b"],
  );
  gate.statuses.set("demo|d1|a", acknowledged("a"));
  const again = await app.inject({ method: "POST", url: URL, payload: { name: "reboot", id: "a" } });
  assert.deepEqual([again.statusCode, again.json().state], [200, "acknowledged"]);
  assert.equal(gate.sent.length, 2);
});

test("what is no command is a 400 that says why, and nothing is sent", async (t) => {
  const { app, gate } = withGate(t);
  const wrong: [object, RegExp][] = [
    [{}, /name/],
    [{ name: "x", qos: 3 }, /qos/],
    [{ name: "x", guarantee: "at-most-once", qos: 1 }, /qos must be 0 or 2/],
    [{ name: "x", guarantee: "exactly-once" }, /guarantee/],
    [{ name: "x", expiresInMs: 10 }, /expiresInMs/],
    [{ name: "x", id: "a b" }, /id must be/],
    [{ name: "x", tenant: "other" }, /additional properties/],
  ];
  for (const [payload, problem] of wrong) {
    const response = await app.inject({ method: "POST", url: URL, payload });
    assert.equal(response.statusCode, 400, response.body);
    assert.match(response.json().detail, problem);
  }
  for (const id of ["a%2Fcmd", "%2B", "%23"]) {
    const response = await app.inject({ method: "POST", url: `/v1/tenants/demo/devices/${id}/commands`, payload: { name: "x" } });
    assert.equal(response.statusCode, 400, "a device that would be another topic");
  }
  const large = await app.inject({ method: "POST", url: URL, payload: { name: "x", payload: "y".repeat(40_000) } });
  assert.equal(large.statusCode, 413);
  assert.deepEqual(gate.sent, []);
});

test("a command's status is its device's and its tenant's only", async (t) => {
  const { app, gate } = withGate(t);
  gate.statuses.set("demo|d1|a", acknowledged("a"));
  assert.deepEqual((await app.inject(`${URL}/a`)).json(), acknowledged("a"));
  for (const url of ["/v1/tenants/other/devices/d1/commands/a", "/v1/tenants/demo/devices/d2/commands/a", `${URL}/b`]) {
    const response = await app.inject(url);
    assert.deepEqual([response.statusCode, response.json().code], [404, "command-unknown"], url);
  }
});

test("a log that does not answer is a 503 to try again after", async (t) => {
  const { app, gate } = withGate(t);
  gate.failure = new Error("broker 7 is away");
  for (const response of [await app.inject({ method: "POST", url: URL, payload: { name: "x" } }), await app.inject(`${URL}/a`)]) {
    assert.deepEqual([response.statusCode, response.json().code, response.headers["retry-after"]], [503, "log-unavailable", "1"]);
    assert.doesNotMatch(response.body, /broker 7/);
  }
});

test("commands need the token where there is one", async (t) => {
  const { app } = apiOverFakes(t, { token: "a-long-enough-token", commands: new FakeGate() });
  assert.equal((await app.inject({ method: "POST", url: URL, payload: { name: "x" } })).statusCode, 401);
  assert.equal((await app.inject(`${URL}/a`)).statusCode, 401);
});

test("what goes on towards a device: its newest commands and its shadow, null where there is none or it is off", async (t) => {
  const control = "/v1/tenants/demo/devices/d1/control";
  const device = { tenant: "demo", deviceId: "d1" };
  assert.deepEqual((await apiOverFakes(t).app.inject(control)).json(), { ...device, commands: null, shadow: null });
  const gate = new FakeGate();
  const { app, queries } = apiOverFakes(t, { commands: gate, shadow: { bounds: SHADOW_BOUNDS, send: () => Promise.resolve() } });
  assert.deepEqual((await app.inject(control)).json(), { ...device, commands: [], shadow: null });
  for (let i = 0; i < 25; i++) gate.statuses.set(`demo|d1|c${i}`, acknowledged(`c${i}`));
  gate.statuses.set("other|d1|x", { ...acknowledged("x"), tenant: "other" });
  queries.put(STORES.shadows, "demo|d1", NEW_ROW.changed(NO_STATE, 5));
  const { commands, shadow } = (await app.inject(control)).json<{ commands: { id: string }[]; shadow: { version: number } }>();
  assert.deepEqual([commands.length, commands[0].id, commands[19].id, shadow.version], [20, "c24", "c5", 1]);
  gate.failure = new Error("away");
  assert.equal((await app.inject(control)).statusCode, 503);
});
