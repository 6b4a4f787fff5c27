/** The webhook that brokers ask: over HTTP, as they do. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { pino } from "pino";
import { Registry } from "prom-client";
import type { Ingress } from "../../../bridge/ingress.ts";
import { isAllowed, type AuthPolicy } from "../../../bridge/broker-auth.ts";
import { GatewayAccess } from "../../../bridge/gateway-access.ts";
import { startIngressHttp } from "../../../cli/ingress-http.ts";
import { Closers } from "../../../cli/service.ts";

const SECRET = "sixteen-characters-or-more";
const GATEWAYS = [
  new GatewayAccess({ user: "gw-a", id: "plant-a", devices: ["acme|a", "acme|denied"], tenants: [] }),
  new GatewayAccess({ user: "gw-evil", devices: [], tenants: ["evil"] }),
];
const POLICY: AuthPolicy = {
  serviceUsers: ["sluice"],
  gateways: new Map(GATEWAYS.map((gateway) => [gateway.user, gateway])),
  isDenied: (key) => key === "acme|denied",
};

async function start(t: TestContext, { maxPerSecond = 10_000, registry = new Registry() } = {}): Promise<string> {
  const closers = new Closers();
  const logger = pino({ level: "silent" });
  t.after(() => closers.run(logger));
  const port = await startIngressHttp({ host: "127.0.0.1", port: 0 }, {} as Ingress, registry, logger, closers, {
    auth: { ...POLICY, secret: SECRET, maxPerSecond },
  });
  return `http://127.0.0.1:${port}`;
}

async function ask(url: string, body: unknown, headers: Record<string, string> = { authorization: `Bearer ${SECRET}` }): Promise<string> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(url, { method: "POST", body: text, headers: { "content-type": "application/json", ...headers } });
  return `${response.status} ${(await response.text()).trim()}`;
}

const own = { username: "acme/d/a", topic: "t/acme/d/a/telemetry", clientid: "c" };

test("mosquitto-go-auth: allowed is 200 and anything else is not, in JSON and as a form, and nobody is a superuser", async (t) => {
  const url = `${await start(t)}/mqtt/go-auth`;
  assert.equal(await ask(`${url}/acl`, { ...own, acc: 2 }), '200 {"ok":true}');
  assert.equal(await ask(`${url}/acl`, { ...own, acc: 1 }), '403 {"ok":false}');
  assert.equal(await ask(`${url}/acl`, { ...own, topic: "t/acme/d/a/cmd", acc: 4 }), '200 {"ok":true}');
  const form = new URLSearchParams({ ...own, acc: "2" }).toString();
  assert.equal(await ask(`${url}/acl?secret=${SECRET}`, form, { "content-type": "application/x-www-form-urlencoded" }), '200 {"ok":true}');
  assert.equal(await ask(`${url}/superuser`, { username: "sluice" }), '403 {"ok":false}');
});

test("EMQX: always 200 with a result, also without the secret or over the rate, as any other status means 'ask the next one'", async (t) => {
  const url = `${await start(t, { maxPerSecond: 3 })}/mqtt/emqx/acl`;
  assert.equal(await ask(url, { ...own, action: "publish" }), '200 {"result":"allow"}');
  assert.equal(await ask(url, { ...own, action: "publish" }, {}), '200 {"result":"deny"}');
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask(url, { ...own, action: "publish" })));
  assert.ok(answers.includes('200 {"result":"deny"}'), "the rate is bounded");
  assert.ok(answers.every((answer) => answer.startsWith("200 ")));
});

test("EMQX with certificates: the CN is the name, whatever user name comes with it; without a certificate the user name is, where it is asked for", async (t) => {
  const url = `${await start(t)}/mqtt/emqx/acl`;
  const may = async (fields: object): Promise<boolean> =>
    (await ask(url, { topic: "t/acme/d/a/telemetry", action: "publish", ...fields })) === '200 {"result":"allow"}';
  assert.equal(await may({ cert_common_name: "acme/d/a" }), true);
  assert.equal(await may({ cert_common_name: "acme/d/a", username: "anything", cert_subject: "CN=anything" }), true);
  assert.equal(await may({ cert_common_name: "", username: "acme/d/a" }), true, "no certificate, and a user name that the broker checked");
  for (const fields of [
    { cert_common_name: "evil/d/x", username: "acme/d/a" },
    { cert_common_name: "evil/d/x", username: "sluice", topic: "t/acme/d/a/cmd" },
    { cert_common_name: "undefined", username: "acme/d/a" },
    { cert_common_name: 7, username: "acme/d/a" },
    { cert_common_name: null, username: "acme/d/a" },
    { cert_common_name: "" },
    { cert_common_name: "acme/d/denied", topic: "t/acme/d/denied/telemetry" },
    { cert_subject: "CN=acme/d/a" },
    { cert_common_name: "", username: "", cert_subject: "CN=acme/d/a" },
  ])
    assert.equal(await may(fields), false, JSON.stringify(fields));
  const form = new URLSearchParams({
    cert_common_name: "evil/d/x",
    username: "acme/d/a",
    topic: "t/acme/d/a/telemetry",
    action: "publish",
  });
  assert.equal(
    await ask(url, form.toString(), { authorization: `Bearer ${SECRET}`, "content-type": "application/x-www-form-urlencoded" }),
    '200 {"result":"deny"}',
  );
});

test("without the secret, with a wrong one, or by GET there is no answer", async (t) => {
  const url = `${await start(t)}/mqtt/go-auth/acl`;
  const question = { ...own, acc: 2 };
  assert.match(await ask(url, question, {}), /^401/);
  assert.match(await ask(url, question, { authorization: "Bearer nearly-sixteen-characters" }), /^401/);
  assert.equal((await fetch(`${url}?secret=${SECRET}`)).status, 405);
});

test("a body that is no question, or has no end, is denied, and the answers are counted", async (t) => {
  const registry = new Registry();
  const url = `${await start(t, { registry })}/mqtt/go-auth/acl`;
  for (const body of ["", "{", "null", "[]", '"x"', "x".repeat(200_000)]) assert.match(await ask(url, body), /^403/);
  assert.match(await registry.metrics(), /sluice_ingress_broker_auth_total\{answer="denied"\} 6/);
});

test("a denied device may nothing, Sluice itself only what it needs", () => {
  const may = (username: string, action: string, topic: string): boolean => isAllowed({ username, action, topic }, POLICY);
  assert.equal(may("acme/d/denied", "publish", "t/acme/d/denied/telemetry"), false);
  assert.equal(may("sluice", "subscribe", "t/+/d/+/telemetry"), true);
  assert.equal(may("sluice", "subscribe", "$share/g/t/+/d/+/telemetry"), true);
  assert.equal(may("sluice", "publish", "t/acme/d/a/cmd"), true);
  for (const [action, topic] of [
    ["subscribe", "#"],
    ["publish", "t/acme/d/a/telemetry"],
    ["publish", "t/+/d/+/cmd"],
  ])
    assert.equal(may("sluice", action, topic), false, `${action} ${topic}`);
});

test("a gateway may what its own devices may, and tell what it gave up; nothing for others, by wildcard, or for a denied device", () => {
  const may = (username: string, action: string, topic: string): boolean => isAllowed({ username, action, topic }, POLICY);
  for (const [user, action, topic] of [
    ["gw-a", "publish", "t/acme/d/a/telemetry"],
    ["gw-a", "publish", "t/acme/d/a/cmd/ack"],
    ["gw-a", "subscribe", "t/acme/d/a/cmd"],
    ["gw-a", "subscribe", "t/acme/d/a/shadow/delta"],
    ["gw-a", "publish", "sluice/gateways/plant-a/gap"],
    ["gw-evil", "publish", "t/evil/d/any/state"],
    ["gw-evil", "subscribe", "t/evil/d/any/cmd"],
    ["gw-evil", "publish", "sluice/gateways/gw-evil/gap"],
  ])
    assert.equal(may(user, action, topic), true, `${user} ${action} ${topic}`);
  for (const [user, action, topic] of [
    ["gw-a", "publish", "t/acme/d/b/telemetry"],
    ["gw-a", "publish", "t/acme/d/a/cmd"],
    ["gw-a", "publish", "t/acme/d/denied/telemetry"],
    ["gw-a", "subscribe", "t/acme/d/denied/cmd"],
    ["gw-a", "subscribe", "t/acme/d/a/telemetry"],
    ["gw-a", "subscribe", "t/+/d/+/cmd"],
    ["gw-a", "subscribe", "t/acme/d/+/cmd"],
    ["gw-a", "subscribe", "sluice/gateways/plant-a/gap"],
    ["gw-a", "publish", "sluice/gateways/gw-evil/gap"],
    ["gw-evil", "publish", "t/acme/d/a/telemetry"],
    ["gw-evil", "subscribe", "t/evil/d/+/cmd"],
    ["gw-evil", "subscribe", "$share/g/t/evil/d/x/cmd"],
    ["gw-evil", "publish", "t/evil/d/a|b/telemetry"],
    ["gw-other", "publish", "t/acme/d/a/telemetry"],
  ])
    assert.equal(may(user, action, topic), false, `${user} ${action} ${topic}`);
  assert.equal(isAllowed({ username: "gw-a", cert_common_name: "gw-evil", topic: "t/acme/d/a/telemetry", acc: 2 }, POLICY), false);
});

test("fuzz: whatever a gateway asks, it is allowed nothing but its own devices' topics", () => {
  const level = fc.constantFrom(
    "t",
    "d",
    "acme",
    "evil",
    "a",
    "b",
    "cmd",
    "ack",
    "telemetry",
    "state",
    "+",
    "#",
    "",
    "sluice",
    "gateways",
    "gap",
  );
  const topics = fc.array(level, { maxLength: 8 }).map((levels) => levels.join("/"));
  fc.assert(
    fc.property(topics, fc.constantFrom("publish", "subscribe"), (topic, action) => {
      for (const asked of [topic, `t/${topic}`, `t/acme/d/a/${topic}`, `t/acme/d/${topic}`]) {
        if (!isAllowed({ username: "gw-a", topic: asked, action }, POLICY)) continue;
        assert.ok(asked.startsWith("t/acme/d/a/") && !/[+#]/.test(asked), `may use ${asked}`);
      }
    }),
    { numRuns: 5000 },
  );
});

test("fuzz: whatever is asked, a device is allowed nothing but its own topics", () => {
  const level = fc.oneof(
    fc.constantFrom("t", "d", "acme", "evil", "a", "cmd", "ack", "telemetry", "state", "+", "#", "", "$share"),
    fc.string(),
  );
  const text = fc.array(level, { maxLength: 8 }).map((levels) => levels.join("/"));
  const name = fc.oneof(text, fc.constantFrom("acme/d/a", "evil/d/a", "+/d/+", "acme/d/#"));
  const acc = fc.oneof(fc.constantFrom(1, 2, 3, 4, "1", "2", "publish", "subscribe"), fc.anything());
  fc.assert(
    fc.property(name, text, acc, (username, suffix, asked) => {
      for (const topic of [suffix, `t/${suffix}`, `t/${username}/${suffix}`]) {
        if (!isAllowed({ username, topic, acc: asked }, POLICY)) continue;
        const [tenant, d, device, ...more] = username.split("/");
        assert.deepEqual([d, more], ["d", []]);
        assert.ok(topic.startsWith(`t/${tenant}/d/${device}/`) && !/[+#]/.test(topic), `${username} may use ${topic}`);
      }
    }),
    { numRuns: 5000 },
  );
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.anything()), (question) => !isAllowed(question, POLICY)));
});
