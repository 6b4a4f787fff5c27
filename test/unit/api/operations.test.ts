import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "prom-client";
import { PROBLEMS } from "../../../api/errors.ts";
import { openApiDocument } from "../../../api/openapi-document.ts";
import { apiOverFakes } from "./support/api.ts";

/** Design, section 8, and what the dashboard needs besides. */
const ROUTES = [
  "get /v1/tenants",
  "get /v1/tenants/{tenant}/devices",
  "get /v1/tenants/{tenant}/alerts",
  "get /v1/tenants/{tenant}/devices/{id}",
  "get /v1/tenants/{tenant}/devices/{id}/aggregates",
  "get /v1/tenants/{tenant}/devices/{id}/alerts",
  "get /v1/tenants/{tenant}/devices/{id}/ledger",
  "post /v1/tenants/{tenant}/devices/{id}/commands",
  "get /v1/tenants/{tenant}/devices/{id}/commands/{command}",
  "get /v1/tenants/{tenant}/devices/{id}/shadow",
  "patch /v1/tenants/{tenant}/devices/{id}/shadow",
  "put /v1/tenants/{tenant}/devices/{id}/shadow",
  "delete /v1/tenants/{tenant}/devices/{id}/shadow",
  "get /v1/tenants/{tenant}/devices/{id}/shadow/requests/{request}",
  "get /v1/tenants/{tenant}/devices/{id}/control",
  "get /v1/stores",
  "get /v1/stores/{store}",
  "get /v1/stores/{store}/{key}",
  "get /v1/stores/{store}/{key}/windows",
  "get /v1/stream",
  "get /v1/topology",
  "get /v1/tasks",
  "get /health/live",
  "get /health/ready",
  "get /metrics",
  "get /openapi.json",
];

test("/openapi.json has every route of the design", async (t) => {
  const { app } = apiOverFakes(t);
  const document = (await app.inject("/openapi.json")).json();
  const described = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  assert.deepEqual(described.sort(), [...ROUTES].sort());
});

test("a route that is neither described nor a public file cannot be built", () => {
  const handler = (): void => undefined;
  assert.throws(() => openApiDocument([{ method: "GET", url: "/v1/new", handler }], "1", false), /GET \/v1\/new is not described/);
  openApiDocument([{ method: "GET", url: "/logo.svg", handler, config: { public: true } }], "1", false);
});

test("every schema that /openapi.json refers to is in it, and parameters and problems are told", async (t) => {
  const { app } = apiOverFakes(t, { token: "t" });
  const response = await app.inject({ url: "/openapi.json", headers: { authorization: "Bearer t" } });
  const document = response.json();
  for (const [, name] of response.body.matchAll(/"#\/components\/schemas\/(\w+)"/g)) assert.ok(document.components.schemas[name], name);
  const device = document.paths["/v1/tenants/{tenant}/devices/{id}"].get;
  assert.deepEqual(Object.keys(device.responses), ["200", "400", "401", "403", "404", "500", "503"]);
  assert.deepEqual(device.security, [{ bearer: ["read"] }]);
  assert.deepEqual(document.paths["/v1/tenants/{tenant}/devices/{id}/commands"].post.security, [{ bearer: ["command"] }]);
  assert.deepEqual(document.paths["/openapi.json"].get.security, [{ bearer: [] }]);
  assert.equal(document.paths["/health/live"].get.security, undefined);
  const parameters: { name: string }[] = document.paths["/v1/tenants/{tenant}/devices"].get.parameters;
  assert.deepEqual(
    parameters.map(({ name }) => name),
    ["tenant", "after", "limit", "scope", "partial", "maxStalenessMs", "copiesOf", "contains"],
  );
});

test("live answers while the process does; ready only when the tasks run", async (t) => {
  let ready = false;
  const { app } = apiOverFakes(t, { ready: () => ready });
  assert.deepEqual((await app.inject("/health/live")).json(), { status: "live", version: "0.0.0-test" });
  assert.equal((await app.inject("/health/ready")).statusCode, 503);
  ready = true;
  assert.deepEqual((await app.inject("/health/ready")).json(), { status: "ready", state: "RUNNING" });
});

test("metrics are the registry's, in Prometheus' format", async (t) => {
  const { app, registry } = apiOverFakes(t);
  new Counter({ name: "sluice_demo_total", help: "x", registers: [registry] }).inc(3);
  const response = await app.inject("/metrics");
  assert.match(response.body, /^sluice_demo_total 3$/m);
  assert.match(String(response.headers["content-type"]), /^text\/plain/);
});

test("problem codes are unique words with a client or server status", () => {
  for (const [code, { status }] of Object.entries(PROBLEMS)) {
    assert.match(code, /^[a-z]+(-[a-z]+)*$/);
    assert.ok(status >= 400 && status < 600);
  }
});

test("an unknown route is a problem document that names it", async (t) => {
  const { app } = apiOverFakes(t);
  const response = await app.inject("/v2/x?secret=1");
  assert.deepEqual(response.json(), {
    type: "urn:sluice:problem:route-unknown",
    title: "There is no such route",
    status: 404,
    detail: "GET /v2/x is not a route",
    code: "route-unknown",
  });
});
