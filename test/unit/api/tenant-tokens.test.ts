/** Tokens of tenants at every route of the server: the routes are the server's own list, so a new one is in it or fails here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { InjectOptions } from "fastify";
import type { Access } from "../../../api/access.ts";
import type { ApiToken } from "../../../api/grant.ts";
import { compareBytes } from "../../../api/page.ts";
import { listening, TOPICS } from "./support/api.ts";
import { rawGet } from "./support/raw-get.ts";
import { deviceState } from "./support/rows.ts";
import { SseReader } from "./support/sse-reader.ts";
import { apiToken, bearer, DEVICE, SECRET, TOKENS, twoTenants, type TwoTenants } from "./support/tenants.ts";

/** Every route without a tenant in its path, and whom it is for. A new one: decide, and write it here. */
const NOT_OF_A_TENANT: Readonly<Record<string, Access | "public">> = {
  "GET /": "public",
  "GET /favicon.ico": "public",
  "GET /dashboard/*": "public",
  "GET /dashboard/vendor/*": "public",
  "HEAD /dashboard/*": "public",
  "HEAD /dashboard/vendor/*": "public",
  "GET /health/live": "public",
  "GET /health/ready": "public",
  "GET /openapi.json": "any",
  "GET /v1/tenants": "own-tenants",
  "GET /v1/stream": "own-tenants",
  "GET /v1/tasks": "monitor",
  "GET /v1/topology": "monitor",
  "GET /metrics": "monitor",
  "GET /v1/stores": "admin",
  "GET /v1/stores/:store": "admin",
  "GET /v1/stores/:store/:key": "admin",
  "GET /v1/stores/:store/:key/windows": "admin",
};

type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

interface Door {
  readonly method: Method;
  readonly url: string;
}

interface Request extends Pick<InjectOptions, "headers"> {
  readonly method: Method;
  readonly url: string;
  readonly payload?: object;
}

/** In no order of theirs, and with what UTF-16 and UTF-8 sort differently. */
const MANY = ["b", "a", "a b", "\u{1f600}", "\uffee", "é", "%41"];

function doorsOf({ routes }: TwoTenants): Door[] {
  return routes.flatMap(({ method, url }) => [method].flat().map((one) => ({ method: one as Method, url })));
}

function isOfTenant({ url }: Door): boolean {
  return url.includes("/:tenant");
}

/** A request that the route's schema takes, as far as one fits all. */
function requestTo({ method, url }: Door, tenant: string): Request {
  const path = url
    .replace(":tenant", tenant)
    .replace(":id", DEVICE)
    .replace(":store", "device-state")
    .replace(":key", "beta%7Cd1")
    .replace("*", "app.js")
    .replace(/:\w+/g, "x");
  return { method, url: path, ...(method === "GET" || method === "HEAD" ? {} : { payload: { name: "open" } }) };
}

/** Over a connection: a stream's answer has no end that inject() could wait for. */
async function statusOf(base: string, { method, url, payload }: Request, headers: Record<string, string> = {}): Promise<number> {
  const body = payload === undefined ? {} : { body: JSON.stringify(payload), headers: { ...headers, "content-type": "application/json" } };
  const response = await fetch(base + url, { method, headers, ...body });
  await response.body?.cancel();
  return response.status;
}

test("every route with a tenant in its path is 403 for the token of another tenant, and shows nothing; one's own opens", async (t) => {
  const api = twoTenants(t);
  await api.app.ready();
  const doors = doorsOf(api).filter(isOfTenant);
  assert.ok(doors.length >= 8, `${doors.length} routes`);
  for (const door of doors) {
    const where = `${door.method} ${door.url}`;
    for (const token of ["acme", "acmeReads", "acmeCommands", "monitor"] as const) {
      const refused = await api.app.inject({ ...requestTo(door, "beta"), headers: bearer(token) });
      assert.deepEqual([refused.statusCode, refused.json().code], [403, "forbidden"], `${where} with ${token}`);
      assert.ok(!refused.body.includes(SECRET), where);
    }
    const opened = await api.app.inject({ ...requestTo(door, "acme"), headers: bearer("acme") });
    assert.ok(![401, 403].includes(opened.statusCode), `${where} is ${opened.statusCode} for its own tenant: ${opened.body}`);
    assert.ok(!opened.body.includes(SECRET), where);
  }
});

test("every route without a tenant says whom it is for, and is 403 for the others", async (t) => {
  const api = twoTenants(t);
  const url = await listening(api.app);
  const doors = doorsOf(api).filter((door) => !isOfTenant(door));
  assert.deepEqual(
    doors.map(({ method, url }) => `${method} ${url}`).sort(),
    Object.keys(NOT_OF_A_TENANT).sort(),
    "decide whom a new route is for, and add it",
  );
  for (const door of doors) {
    const access = NOT_OF_A_TENANT[`${door.method} ${door.url}`];
    for (const token of Object.keys(TOKENS) as (keyof typeof TOKENS)[]) {
      const status = await statusOf(url, requestTo(door, "beta"), bearer(token));
      const permissions: ReadonlySet<string> = TOKENS[token].permissions;
      const isFor =
        access === "public" || access === "any" || permissions.has("admin") || permissions.has(access === "own-tenants" ? "read" : access);
      assert.equal(status === 403, !isFor, `${door.method} ${door.url} is ${status} for ${token}`);
      assert.notEqual(status, 401, door.url);
    }
    const anonymous = await statusOf(url, requestTo(door, "beta"));
    assert.equal(anonymous === 401, access !== "public", `${door.url} without a token`);
  }
});

test("reading does not permit to change anything, and commanding not to read", async (t) => {
  const api = twoTenants(t);
  await api.app.ready();
  for (const door of doorsOf(api).filter(isOfTenant)) {
    const reads = door.method === "GET";
    for (const [token, may] of [
      ["acmeReads", reads],
      ["acmeCommands", !reads],
      ["reader", reads],
      ["admin", true],
    ] as const) {
      const { statusCode } = await api.app.inject({ ...requestTo(door, "acme"), headers: bearer(token) });
      assert.equal(statusCode !== 403, may, `${door.method} ${door.url} with ${token}: ${statusCode}`);
    }
  }
});

test("a route that does not say whom it is for is closed to all but admins", async (t) => {
  const { app } = twoTenants(t);
  app.get("/v1/new", { config: { operation: { tag: "x", summary: "x" } } }, () => ({}));
  const status = async (token: keyof typeof TOKENS): Promise<number> =>
    (await app.inject({ url: "/v1/new", headers: bearer(token) })).statusCode;
  assert.deepEqual([await status("acme"), await status("reader"), await status("monitor"), await status("admin")], [403, 403, 403, 200]);
});

test("who is refused is told which permission or tenant it was, and counted", async (t) => {
  const { app, registry } = twoTenants(t);
  const ask = async (url: string, authorization?: string) =>
    (await app.inject({ url, headers: authorization === undefined ? {} : { authorization } })).json<{ status: number; detail: string }>();
  assert.deepEqual((await ask("/v1/tasks", "Bearer acme")).detail, 'the token "acme" has no permission "monitor"');
  assert.deepEqual((await ask("/v1/tenants/beta/devices", "Bearer acme")).detail, 'the token "acme" does not open this tenant');
  assert.deepEqual((await ask("/v1/stream?tenant=beta", "Bearer acme")).detail, 'the token "acme" does not open this tenant');
  await ask("/v1/tasks", "Bearer nobody");
  await ask("/v1/tasks");
  const metrics = await registry.metrics();
  assert.match(metrics, /sluice_http_refused_total\{reason="forbidden"\} 3/);
  assert.match(metrics, /sluice_http_refused_total\{reason="unauthorized"\} 2/);
});

test("the list of tenants holds those of the token, page by page, and reads no other's rows", async (t) => {
  const { app, queries } = twoTenants(t, { tokens: () => [...Object.values(TOKENS), apiToken("many", [...MANY, "unheard-of"], "read")] });
  const list = async (token: string, query = ""): Promise<{ tenants: { tenant: string }[]; next: string | null }> =>
    (await app.inject({ url: `/v1/tenants${query}`, headers: { authorization: `Bearer ${token}` } })).json();
  const names = async (token: string, query = ""): Promise<string[]> => (await list(token, query)).tenants.map(({ tenant }) => tenant);
  assert.deepEqual(await names("acme"), ["acme"]);
  assert.deepEqual(await names("beta"), ["beta"]);
  assert.deepEqual(await names("reader"), ["acme", "beta"]);
  assert.deepEqual(await names("acmeReads", "?after=acme"), []);
  for (const tenant of MANY) queries.put("device-state", `${tenant}|d1`, {});
  const paged: string[] = [];
  for (let after = ""; ;) {
    const page = await list("many", `?limit=2${after}`);
    paged.push(...page.tenants.map(({ tenant }) => tenant));
    if (page.next === null) break;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
  assert.deepEqual(paged, [...MANY].sort(compareBytes));
});

/** Ways to write the other tenant, or oneself and mean the other. */
const TRICKS = [
  "/v1/tenants/acme/../beta/devices",
  "/v1/tenants/acme/%2e%2e/beta/devices",
  "/v1/tenants/acme%2f..%2fbeta/devices",
  "/v1/tenants/acme%2F%2E%2E%2Fbeta/devices/d1",
  "/v1/tenants/acme\\..\\beta/devices",
  "/v1/tenants/acme%5C..%5Cbeta/devices",
  "/v1/tenants/%62eta/devices",
  "/v1/tenants/%2562eta/devices",
  "/v1/tenants/bet%61/devices/d1",
  "/v1/tenants//beta/devices",
  "/v1/tenants/acme%00/devices",
  "/v1/tenants/beta%00acme/devices",
  "/v1/tenants/acme%7Cd1/devices",
  "/v1/tenants/acme%7C/devices",
  "/v1/tenants//devices",
  "/v1/tenants/%20/devices",
  "/v1/tenants/acme%20/devices",
  "/v1/tenants/ACME/devices",
  "/v1/tenants/%D0%B0cme/devices",
  "/v1/tenants/acme%E2%80%8B/devices",
  "/v1/tenants/*/devices",
  "/v1/tenants/+/devices",
  "/v1/tenants/%ff/devices",
  "/v1/tenants/beta/devices?tenant=acme",
  "/v1/tenants/beta;tenant=acme/devices",
  "/v1/tenants/beta#/../acme/devices",
  "//v1/tenants/beta/devices",
  "/V1/tenants/beta/devices",
  "/v1/./tenants/beta/devices",
  "http://127.0.0.1/v1/tenants/beta/devices",
  "http://x/v1/tenants/acme/../beta/devices",
  "/v1/stores/device-state/acme%7Cd1",
  "/v1/stores/device-state?prefix=acme",
  "/v1/stream?tenant=%62eta",
  "/v1/stream?tenant=acme&tenant=beta",
];

const DOTS = new Set([".", ".."]);
const ODD_NAMES = [
  "acme",
  "ACME",
  "acme ",
  "аcme",
  "acmé",
  "acme\u0301",
  "acme\u200b",
  "acme%2F",
  "acme/",
  "a/../beta",
  "*",
  "+",
  "#",
  "$share",
  "acme,beta",
  ...DOTS,
];

/** A client may claim to be a worker. */
const FORGED = { "x-sluice-forwarded-by": "w2" };

test("no way to write a path or a name leads to another tenant: refused, and nothing of it shows", async (t) => {
  const { app } = twoTenants(t);
  const url = await listening(app);
  for (const path of TRICKS) {
    const { status, body } = await rawGet(url, path, bearer("acme"));
    assert.ok([400, 403, 404].includes(status), `${path} is ${status}`);
    assert.ok(!body.includes(SECRET), path);
  }
  const right = await rawGet(url, "/v1/tenants/%61cme/devices", bearer("acme"));
  assert.equal(right.status, 200, "one's own name may be written in another way");
});

test("fuzz: whatever the path, a tenant's token leads to another tenant by none, nor does it crash", async (t) => {
  const { app } = twoTenants(t);
  const url = await listening(app);
  const part = fc.oneof(
    fc.constantFrom("v1", "tenants", "acme", "beta", "devices", "d1", "stores", "device-state", "stream", "alerts", "ledger", "commands"),
    fc.constantFrom("..", ".", "%2e%2e", "%2F", "%5C", "\\", "", "beta%7Cd1", "acme%7C", "%00", "*", ":tenant", "?tenant=beta", "#", ";"),
    fc.string({ unit: fc.constantFrom(..."abetcm%2fF5C.;:?&=#\\/|"), maxLength: 8 }),
  );
  const path = fc
    .tuple(fc.constantFrom("/", "/v1/", "/v1/tenants/", "/v1/tenants/acme/", "/v1/tenants/acme/devices/"), fc.array(part, { maxLength: 7 }))
    .map(([start, parts]) => start + parts.join("/"));
  await fc.assert(
    fc.asyncProperty(path, async (asked) => {
      const { status, body } = await rawGet(url, asked, bearer("acme"));
      assert.ok(status < 500 && !body.includes(SECRET), `${asked} is ${status}`);
    }),
    { numRuns: 600 },
  );
});

test("tenants whose names look alike, or hold what has a meaning elsewhere, are different tenants", async (t) => {
  const tokens = ODD_NAMES.map((tenant, at) => apiToken(`odd-${at}`, [tenant], "read", "command"));
  const { app, queries } = twoTenants(t, { tokens: () => tokens });
  for (const tenant of ODD_NAMES) queries.put("device-state", `${tenant}|d1`, deviceState("d1", { tenant, attributes: { owner: tenant } }));
  const url = await listening(app);
  for (const [at, own] of ODD_NAMES.entries())
    for (const asked of ODD_NAMES) {
      const { status, body } = await rawGet(url, `/v1/tenants/${encodeURIComponent(asked)}/devices/d1`, {
        authorization: `Bearer odd-${at}`,
      });
      const expected = own !== asked ? 403 : DOTS.has(own) ? 400 : 200;
      assert.equal(status, expected, `${JSON.stringify(own)} asks for ${JSON.stringify(asked)}: ${body}`);
      if (status === 200) assert.equal((JSON.parse(body) as { attributes: { owner: string } }).attributes.owner, own);
    }
});

test("a stream brings the events of the token's tenants only, and none to name another", async (t) => {
  const { app, feed } = twoTenants(t);
  const url = await listening(app);
  const [acme, all, beta] = [
    await SseReader.open(t, `${url}/v1/stream`, bearer("acme")),
    await SseReader.open(t, `${url}/v1/stream`, bearer("reader")),
    await SseReader.open(t, `${url}/v1/stream?tenant=beta&device=d1`, bearer("beta")),
  ];
  const say = (tenant: string) =>
    feed.push([feed.record(TOPICS.normalized, `${tenant}|d1`, { tenant }), feed.record(TOPICS.alerts, `${tenant}|d1`, { tenant })]);
  for (const tenant of ["beta", "acme", "ACME", "acm", "acmee", "acme"]) say(tenant);
  const seen = (events: readonly { data: string }[]): string[] => events.map(({ data }) => (JSON.parse(data) as { tenant: string }).tenant);
  assert.deepEqual(seen(await acme.take(4)), ["acme", "acme", "acme", "acme"]);
  assert.equal((await all.take(12)).length, 12);
  assert.deepEqual(seen(await beta.take(2)), ["beta", "beta"]);
});

test("a stream ends at the next heartbeat after its token is taken back or loses tenants, and goes on when others change", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let tokens = Object.values<ApiToken>(TOKENS);
  const { app } = twoTenants(t, { tokens: () => tokens });
  const url = await listening(app);
  const [acme, reads, beta] = [
    await SseReader.open(t, `${url}/v1/stream`, bearer("acme")),
    await SseReader.open(t, `${url}/v1/stream`, bearer("acmeReads")),
    await SseReader.open(t, `${url}/v1/stream`, bearer("beta")),
  ];
  tokens = [apiToken("acme", ["acme"], "read"), apiToken("beta", ["gamma"], "read")];
  t.mock.timers.tick(15_000);
  assert.equal(await reads.ended(), "broken", "taken back");
  assert.equal(await beta.ended(), "broken", "for another tenant");
  tokens = [];
  t.mock.timers.tick(15_000);
  assert.equal(await acme.ended(), "broken");
});

test("the worker that a request is sent on to asks for the token's rights itself: the hop widens nothing", async (t) => {
  let rightsThere: readonly ApiToken[] = Object.values(TOKENS);
  const [one, two] = [twoTenants(t, { workerId: "w1" }), twoTenants(t, { workerId: "w2", tokens: () => rightsThere })];
  const urls = [await listening(one.app), await listening(two.app)];
  const members = urls.map((url, at) => ({ workerId: `w${at + 1}`, url, tasks: [`0_${at}`], standbys: [] }));
  for (const { queries } of [one, two]) queries.info = { ...queries.info, members };
  one.queries.location = () => ({ kind: "remote", url: urls[1], workerId: "w2" });
  one.queries.rows.clear();
  const ask = (path: string, token: keyof typeof TOKENS) => rawGet(urls[0], path, { ...bearer(token), ...FORGED });
  assert.equal((await rawGet(urls[0], "/v1/tenants/acme/devices/d1", bearer("acme"))).status, 200);
  assert.deepEqual(JSON.parse((await rawGet(urls[0], "/v1/tenants", bearer("acme"))).body).tenants, [{ tenant: "acme" }]);
  for (const path of [...TRICKS, "/v1/tenants/beta/devices/d1", "/v1/tenants/beta/devices?scope=local&partial=true"]) {
    const { status, body } = await ask(path, "acme");
    assert.ok([400, 403, 404].includes(status), `${path} is ${status}`);
    assert.ok(!body.includes(SECRET), path);
  }
  // narrower there, as while a changed file is read by one worker after the other
  rightsThere = [apiToken("acme", ["gamma"], "read")];
  const refused = await rawGet(urls[0], "/v1/tenants/acme/devices/d1", bearer("acme"));
  assert.deepEqual([refused.status, (JSON.parse(refused.body) as { code: string }).code], [403, "forbidden"]);
  const listed = await rawGet(urls[0], "/v1/tenants/acme/devices?partial=true", bearer("acme"));
  assert.deepEqual((JSON.parse(listed.body) as { devices: []; missing: object[] }).missing, [{ workerId: "w2", reason: "answered 403" }]);
});

test("what is sent on is of the tenant that was asked for, however its name is written", async (t) => {
  const odd = "acme\\..\\beta";
  const token = apiToken("odd", [odd, ".."], "read");
  const tokens = () => [token, ...Object.values(TOKENS)];
  const [one, two] = [twoTenants(t, { workerId: "w1", tokens }), twoTenants(t, { workerId: "w2", tokens })];
  const urls = [await listening(one.app), await listening(two.app)];
  const members = urls.map((url, at) => ({ workerId: `w${at + 1}`, url, tasks: [`0_${at}`], standbys: [] }));
  for (const { queries } of [one, two]) queries.info = { ...queries.info, members };
  one.queries.location = () => ({ kind: "remote", url: urls[1], workerId: "w2" });
  one.queries.rows.clear();
  two.queries.put("device-state", `${odd}|d1`, deviceState("d1", { tenant: odd }));
  for (const written of [odd, encodeURIComponent(odd)])
    for (const sender of ["odd", "reader"]) {
      const headers = { authorization: `Bearer ${sender}` };
      const device = await rawGet(urls[0], `/v1/tenants/${written}/devices/d1`, headers);
      const absolute = await rawGet(urls[0], `http://any.host/v1/tenants/${written}/devices/d1?`, headers);
      assert.deepEqual(absolute, device, "the whole URL in the request line");
      assert.equal((JSON.parse(device.body) as { tenant: string }).tenant, odd, device.body);
      const list = await rawGet(urls[0], `/v1/tenants/${written}/devices`, headers);
      assert.deepEqual(
        (JSON.parse(list.body) as { devices: { tenant: string }[] }).devices.map(({ tenant }) => tenant),
        [odd],
      );
    }
});
