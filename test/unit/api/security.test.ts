import assert from "node:assert/strict";
import { test } from "node:test";
import { startApi } from "../../../api/server.ts";
import { apiOverFakes } from "./support/api.ts";

const TOKEN = "correct-horse-battery";

test("with a token every route asks for it, unknown ones too", async (t) => {
  const { app } = apiOverFakes(t, { token: TOKEN });
  const paths = [
    "/v1/tenants",
    "/v1/tenants/demo/devices",
    "/v1/tenants/demo/devices/d1",
    "/v1/stream",
    "/v1/topology",
    "/v1/tasks",
    "/metrics",
    "/openapi.json",
    "/nope",
  ];
  for (const url of paths) {
    for (const authorization of [undefined, "Bearer wrong", `Basic ${TOKEN}`, `Bearer ${TOKEN}x`, TOKEN]) {
      const response = await app.inject({ url, headers: authorization === undefined ? {} : { authorization } });
      assert.equal(response.statusCode, 401, `${url} with ${authorization ?? "none"}`);
      assert.match(String(response.headers["www-authenticate"]), /^Bearer/);
    }
  }
  const headers = { authorization: `Bearer ${TOKEN}` };
  assert.equal((await app.inject({ url: "/v1/tenants", headers })).statusCode, 200);
  assert.equal((await app.inject({ url: "/nope", headers })).statusCode, 404);
});

test("health and the dashboard's files need no token", async (t) => {
  const { app } = apiOverFakes(t, { token: TOKEN });
  for (const url of ["/health/live", "/health/ready", "/", "/dashboard/app.js", "/dashboard/vendor/uPlot.esm.js", "/favicon.ico"]) {
    assert.equal((await app.inject(url)).statusCode, 200, url);
  }
});

test("a rotated token counts from the next request; an empty one opens nothing", async (t) => {
  let token = "first";
  const { app } = apiOverFakes(t, { token: () => token });
  const ask = async (given: string): Promise<number> =>
    (await app.inject({ url: "/v1/tasks", headers: { authorization: `Bearer ${given}` } })).statusCode;
  assert.equal(await ask("first"), 200);
  token = "second";
  assert.deepEqual([await ask("first"), await ask("second")], [401, 200]);
  token = "";
  assert.equal(await ask(""), 401);
  assert.throws(() => apiOverFakes(t, { token: "" }), /empty/);
});

test("without a token it refuses to listen where others can reach it", async (t) => {
  const { app } = apiOverFakes(t);
  for (const host of ["0.0.0.0", "::", "192.0.2.1", "example.org"]) await assert.rejects(startApi(app, { host, port: 0 }), /set a token/);
  assert.match(await startApi(app, { host: "127.0.0.1", port: 0 }), /^http:\/\/127\.0\.0\.1:\d+$/);
});

test("without a token a foreign Host is refused (DNS rebinding); loopback names and the advertised host pass", async (t) => {
  const { app } = apiOverFakes(t, { advertised: "http://worker-1.internal:8080" });
  const status = async (host: string): Promise<number> => (await app.inject({ url: "/v1/tasks", headers: { host } })).statusCode;
  for (const host of ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "[::1].x"])
    assert.equal(await status(host), 403, host);
  for (const host of ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]", "worker-1.internal:9"])
    assert.equal(await status(host), 200, host);
});

test("every answer carries the security headers, errors and pages too", async (t) => {
  const { app } = apiOverFakes(t);
  for (const url of ["/", "/v1/tasks", "/nope", "/dashboard/app.js", "/dashboard/vendor/uPlot.min.css"]) {
    const { headers } = await app.inject(url);
    const policy = String(headers["content-security-policy"]);
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    assert.equal(headers["x-content-type-options"], "nosniff");
  }
});

test("the file routes serve the page and uPlot, and nothing around them", async (t) => {
  const { app } = apiOverFakes(t);
  for (const url of [
    "/dashboard/../server.ts",
    "/dashboard/%2e%2e/server.ts",
    "/dashboard/vendor/uPlot.cjs.js",
    "/dashboard/vendor/../package.json",
  ]) {
    assert.notEqual((await app.inject(url)).statusCode, 200, url);
  }
});

test("a body over the limit is a 413 problem, a broken URL a 400 one", async (t) => {
  const { app } = apiOverFakes(t);
  const large = await app.inject({ method: "POST", url: "/v1/tenants/a/devices/b/commands", payload: { x: "y".repeat(70_000) } });
  assert.deepEqual([large.statusCode, large.json().code], [413, "payload-too-large"]);
  const broken = await app.inject("/v1/tenants/%zz/devices");
  assert.equal(broken.statusCode, 400);
});
