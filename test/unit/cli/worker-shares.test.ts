import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../../cli/config/errors.ts";
import { loadConfig } from "../../../cli/config/load.ts";
import type { Config } from "../../../cli/config/schema.ts";
import { workerCount, workerShares } from "../../../cli/workers/shares.ts";

const configOf = (env: Record<string, string> = {}): Config => loadConfig(undefined, env).config;
const envsOf = (config: Config, count: number) => workerShares(config, count, "test").map(({ env }) => env);

test("by default a host has one worker; auto is one for each core", () => {
  assert.equal(workerCount(configOf(), 8), 1);
  assert.equal(workerCount(configOf({ SLUICE_PROCESSING_WORKERS: "3" }), 8), 3);
  assert.equal(workerCount(configOf({ SLUICE_PROCESSING_WORKERS: "auto" }), 8), 8);
  for (const wrong of ["many", "0", "1.5", "[2]"])
    assert.throws(() => configOf({ SLUICE_PROCESSING_WORKERS: wrong }), /processing\.workers: /);
});

test("the first worker is the one that a single one would be, the others count on; memory is shared out; state is one directory", () => {
  const config = configOf({
    SLUICE_INSTANCE_ID: "host-1",
    SLUICE_HTTP_PORT: "8080",
    SLUICE_HTTP_ADVERTISED: "http://host-1.example:9080",
    SLUICE_PROCESSING_MEMORY_MIB: "2001",
    SLUICE_PROCESSING_WORKERS: "3",
  });
  const shares = envsOf(config, 3);
  assert.deepEqual(shares[0], {
    SLUICE_PROCESSING_WORKERS: "1",
    SLUICE_PROCESSING_MEMORY_MIB: "667",
    SLUICE_INSTANCE_ID: "host-1",
    SLUICE_HTTP_PORT: "8080",
    SLUICE_HTTP_ADVERTISED: "http://host-1.example:9080",
  });
  const loaded = shares.map((env) => configOf(env));
  assert.deepEqual(
    loaded.map(({ instanceId, http }) => [instanceId, http.port, http.advertised]),
    [
      ["host-1", 8080, "http://host-1.example:9080"],
      ["host-1.1", 8081, "http://host-1.example:9081"],
      ["host-1.2", 8082, "http://host-1.example:9082"],
    ],
  );
  for (const { state, processing } of loaded) assert.deepEqual([state, processing.workers], [config.state, 1]);
});

test("what is not set is not set for any of them: no static members, each its default memory and any port", () => {
  const none = { SLUICE_PROCESSING_WORKERS: "1", SLUICE_HTTP_PORT: "0" };
  assert.deepEqual(envsOf(configOf({ SLUICE_HTTP_PORT: "0" }), 2), [none, none]);
});

test("too little memory for so many, and ports that cannot be counted on, are refused with the setting's name", () => {
  for (const [env, path] of [
    [{ SLUICE_PROCESSING_MEMORY_MIB: "1183" }, "processing.memoryMiB"],
    [{ SLUICE_HTTP_PORT: "65535" }, "http.port"],
    [{ SLUICE_HTTP_ADVERTISED: "https://sluice.example" }, "http.advertised"],
    [{ SLUICE_HTTP_PORT: "0", SLUICE_HTTP_ADVERTISED: "http://host:8080" }, "http.advertised"],
    [{ SLUICE_HTTP_ADVERTISED: "http://host:65535" }, "http.advertised"],
  ] as const) {
    const refused = (error: unknown): boolean => error instanceof ConfigError && error.issues.map((issue) => issue.path).join() === path;
    assert.throws(() => envsOf(configOf(env), 2), refused, JSON.stringify(env));
  }
  assert.equal(envsOf(configOf({ SLUICE_PROCESSING_MEMORY_MIB: "1184" }), 2)[1].SLUICE_PROCESSING_MEMORY_MIB, "592");
});
