/** One list of rights: what the tests' brokers give, what the documentation shows, and no topic that anybody needs is missing in it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ingressRights, rightsTable, workerRights } from "../../../cli/acls.ts";
import { configSchema, type Config } from "../../../cli/config/schema.ts";
import { wantedTopics } from "../../../cli/topics/wanted-topics.ts";

const FEATURES = {
  commands: { commands: { enabled: true } },
  limits: { admission: { tenantRate: { perSecond: 1, burst: 1 } } },
  deviceRegistry: { deviceRegistry: { mode: "closed" } },
  presence: { presence: {} },
  shadow: { shadow: { enabled: true } },
  replicas: { mqtt: { scaleOut: { mode: "hash", slots: 2 } } },
  rawTopics: { admission: { tenants: [{ tenant: "acme", rawTopic: "iot.telemetry.raw.acme" }] } },
} as const;
const ROLES = { worker: workerRights, ingress: ingressRights } as const;
type Role = keyof typeof ROLES;

const config = configSchema.parse({});
const everything = configSchema.parse({
  ...FEATURES.commands,
  admission: { ...FEATURES.limits.admission, ...FEATURES.rawTopics.admission },
  ...FEATURES.presence,
  ...FEATURES.shadow,
  deviceRegistry: { mode: "auto-register" },
});
const operations = readFileSync(new URL("../../../docs/operations.md", import.meta.url), "utf8");

function documented(heading: string): string[][] | undefined {
  const table = operations.split(`| ${heading} | on | operations |\n`)[1]?.split("\n\n")[0].split("\n").slice(1);
  return table?.map(cells);
}

function cells(row: string): string[] {
  return row
    .split("|")
    .map((cell) => cell.trim())
    .filter((cell) => cell !== "");
}

/** What a feature adds, but for looking at the settings of its topics. */
function added(role: Role, feature: keyof typeof FEATURES): string[] {
  const before = new Set(rightsTable(ROLES[role](config)));
  const after = rightsTable(ROLES[role](configSchema.parse(FEATURES[feature])));
  return after.filter((row) => !before.has(row) && !row.endsWith("| Describe, DescribeConfigs |"));
}

for (const role of ["worker", "ingress"] as const)
  test(`docs/operations.md lists the rights of the ${role}, each once and no other`, () => {
    assert.deepEqual(documented(`${role} may`), rightsTable(ROLES[role](config)).map(cells));
  });

for (const [role, feature] of [
  ["worker", "commands"],
  ["ingress", "commands"],
  ["ingress", "limits"],
  ["ingress", "deviceRegistry"],
  ["worker", "presence"],
  ["ingress", "presence"],
  ["worker", "shadow"],
  ["ingress", "shadow"],
  ["ingress", "replicas"],
  ["ingress", "rawTopics"],
] as const)
  test(`docs/operations.md lists what ${feature} add to the rights of the ${role}`, () => {
    assert.deepEqual(documented(`with ${feature}, ${role} may`), added(role, feature).map(cells));
  });

test("features of the ingress give a worker no more than the look at their topics' settings", () => {
  for (const feature of ["limits", "deviceRegistry", "rawTopics"] as const) assert.deepEqual(added("worker", feature), []);
});

for (const role of ["worker", "ingress"] as const)
  test(`whatever is on, the ${role} may see the settings of every topic, which it checks before it starts`, () => {
    for (const one of [config, everything, ...Object.values(FEATURES).map((feature) => configSchema.parse(feature))])
      for (const { name } of wantedTopics(one)) {
        const of = ROLES[role](one).filter((right) => right.resource === "Topic" && right.name === name);
        const allowed = of.map(({ operation }) => operation);
        assert.ok(allowed.includes("DescribeConfigs"), `${name}: ${allowed.join()}`);
        // Read and Write imply it
        assert.ok(
          ["Describe", "Read", "Write"].some((one) => (allowed as string[]).includes(one)),
          `${name}: ${allowed.join()}`,
        );
      }
  });

test("no right is listed twice, and at least once needs no transactional id of the worker", () => {
  const once: Config = configSchema.parse({ processing: { guarantee: "at-least-once" } });
  for (const role of ["worker", "ingress"] as const) {
    const rights = ROLES[role](everything).map((right) => JSON.stringify(right));
    assert.equal(new Set(rights).size, rights.length);
  }
  assert.ok(!workerRights(once).some(({ resource }) => resource === "TransactionalId"));
});
