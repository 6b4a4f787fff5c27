import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { loadConfig } from "../../../cli/config/load.ts";
import { buildProgram } from "../../../cli/program.ts";
import { COMPILE_CACHE_ENV, MALLOC_ENV, NODE_FLAGS } from "../../../scripts/bootstrap-lib.mjs";

/** What can be said of the container files without a container engine. */
const root = new URL("../../..", import.meta.url).pathname;
const read = (file: string): string => readFileSync(join(root, file), "utf8");

interface Service {
  image?: string;
  command?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: unknown;
  restart?: string;
}
const compose = parse(read("docker-compose.yml"), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const services = Object.entries(compose.services);
const ours = services.filter(([, service]) => service.image === "sluice:local");

test("there are Kafka, Mosquitto, the topics step, an ingress and two workers", () => {
  assert.deepEqual(
    services.map(([name]) => name),
    ["kafka", "mosquitto", "topics", "ingress", "worker-1", "worker-2"],
  );
});

test("our containers run commands that exist, with a configuration that is valid", () => {
  const names = buildProgram(() => undefined).commands.map((command) => command.name());
  for (const [name, { command = [], environment = {} }] of ours) {
    assert.ok(names.includes(command[0]), name);
    const env = { ...environment, ...("SLUICE_HTTP_TOKEN" in environment ? { SLUICE_HTTP_TOKEN: "0123456789abcdef" } : {}) };
    const { config, unknownVariables } = loadConfig(join(root, "deploy/sluice.yaml"), env);
    assert.deepEqual(unknownVariables, [], name);
    assert.deepEqual(config.kafka.brokers, ["kafka:9092"]);
  }
});

test("the workers have identities, volumes and addresses of their own", () => {
  const workers = ours.filter(([name]) => name.startsWith("worker"));
  for (const pick of [
    (s: Service) => s.environment?.SLUICE_INSTANCE_ID,
    (s: Service) => s.environment?.SLUICE_HTTP_ADVERTISED,
    (s: Service) => s.volumes?.at(-1),
  ]) {
    assert.equal(new Set(workers.map(([, service]) => pick(service))).size, 2);
  }
});

test("whatever a service mounts, waits for or is waited for by is there", () => {
  for (const [name, { volumes = [], depends_on: dependsOn = {} }] of services) {
    for (const volume of volumes) {
      const [source] = volume.split(":");
      assert.ok(source.startsWith(".") ? existsSync(join(root, source)) : source in compose.volumes, `${name}: ${volume}`);
    }
    for (const [other, { condition }] of Object.entries(dependsOn)) {
      const target = compose.services[other];
      assert.ok(condition === "service_healthy" ? target.healthcheck !== undefined : target.restart === "no", `${name} waits for ${other}`);
    }
  }
});

test("ports are published on the machine itself only, and no file holds a secret", () => {
  for (const line of read("docker-compose.yml").matchAll(/^ +- "(.*:\d+:\d+)"$/gm)) assert.match(line[1], /^127\.0\.0\.1:/);
  assert.doesNotMatch(
    read("docker-compose.yml") + read("Dockerfile") + read("deploy/sluice.yaml"),
    /(PASSWORD|TOKEN)\s*[:=]\s*["']?[^\s"'$()]*[a-z0-9]{8}/i,
  );
});

test("the image copies what exists, lets no more in, and runs as another user than root", () => {
  const dockerfile = read("Dockerfile");
  const allowed = read(".dockerignore");
  for (const [, sources] of dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)) {
    for (const source of sources.split(" ")) {
      assert.ok(existsSync(join(root, source)), source);
      assert.ok(allowed.includes(`!${source}\n`), `.dockerignore lets ${source} in`);
    }
  }
  assert.match(dockerfile, /^USER node$/m);
  const folders = [...read("scripts/import-rules.mjs").matchAll(/^ {2}(\w+): \[/gm)].map(([, folder]) => folder);
  assert.equal(folders.length, 7);
  for (const folder of [...folders, "cli"]) assert.match(dockerfile, new RegExp(`^COPY ${folder} `, "m"));
});

test("the image runs Node with the flags and settings of every other way to start it", () => {
  const dockerfile = read("Dockerfile");
  const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? "[]") as string[];
  assert.deepEqual(entry, ["node", ...NODE_FLAGS, "cli/main.ts"]);
  const warmUp = JSON.parse(/^RUN (\[.*--help"\])$/m.exec(dockerfile)?.[1] ?? "[]") as string[];
  assert.deepEqual(warmUp, [...entry, "--help"], "a compile cache is used by the flags that it was made with only");
  const env = /^ENV (.*)$/m.exec(dockerfile)?.[1].split(" ") ?? [];
  for (const [name, value] of Object.entries(MALLOC_ENV)) assert.ok(env.includes(`${name}=${value}`), name);
  for (const name of Object.keys(COMPILE_CACHE_ENV)) assert.ok(env.includes(`${name}=/app/.compiled`), name);
});
