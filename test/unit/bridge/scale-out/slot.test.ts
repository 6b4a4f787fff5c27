import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ADMISSION_DEFAULTS } from "../../../../bridge/admission/settings.ts";
import { scaleOutProblem, type ScaleOutSettings } from "../../../../bridge/scale-out/settings.ts";
import { admissionOf, slotsOf, type Slot } from "../../../../bridge/scale-out/slot.ts";
import { filterMatches } from "../../../../bridge/scale-out/topic-filter.ts";

const ALL = { clientId: "ingress", topics: ["t/+/d/+/telemetry", "t/+/d/+/cmd/ack"], stateTopics: ["t/+/d/+/state"] };

function ownersOf(slots: readonly Slot[], topic: string, key: string): number[] {
  return slots.filter(({ owns }) => owns?.(topic, Buffer.from(key)) ?? true).map(({ number }) => number);
}

test("hash: every device, and every topic that is none, is exactly one slot's own, the same for telemetry, states and answers", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.integer({ min: 1, max: 16 }), (tenant, device, count) => {
      const slots = slotsOf({ mode: "hash", slots: count }, ALL);
      const owners = ["telemetry", "state", "cmd/ack"].map((end) =>
        ownersOf(slots, `t/${tenant}/d/${device}/${end}`, `${tenant}|${device}`),
      );
      assert.equal(owners[0].length, 1);
      assert.deepEqual(owners[1], owners[0]);
      assert.deepEqual(owners[2], owners[0]);
    }),
  );
});

test("hash: devices are spread over all slots", () => {
  const slots = slotsOf({ mode: "hash", slots: 4 }, ALL);
  const counts = [0, 0, 0, 0];
  for (let n = 0; n < 4_000; n++) counts[ownersOf(slots, "", `demo|device-${n}`)[0]]++;
  assert.ok(Math.min(...counts) > 800, String(counts));
});

test("each slot has a session of its own, subscribed as its mode says, and rid of what another mode subscribed", () => {
  const [, second] = slotsOf({ mode: "shared", slots: 2 }, ALL);
  assert.equal(second.clientId, "ingress-1");
  assert.deepEqual(second.topics, ["$share/ingress/t/+/d/+/telemetry", "$share/ingress/t/+/d/+/cmd/ack"]);
  assert.deepEqual(second.formerTopics, [...ALL.topics, ...ALL.stateTopics]);
  const [hashed] = slotsOf({ mode: "hash", slots: 2 }, ALL);
  assert.deepEqual(hashed.topics, ALL.topics);
  assert.deepEqual(hashed.formerTopics, second.topics);
});

test("filters: a slot takes what its filters take, whatever its session still brings, and its states as states", () => {
  const filters = [["t/acme/d/+/telemetry", "t/acme/d/+/state"], ["t/+/d/+/telemetry"]];
  const [acme, rest] = slotsOf({ mode: "filters", filters }, ALL);
  assert.deepEqual(acme.topics, ["t/acme/d/+/telemetry"]);
  assert.deepEqual(acme.stateTopics, ["t/acme/d/+/state"]);
  assert.equal(acme.owns?.("t/acme/d/1/telemetry", Buffer.of()), true);
  assert.equal(acme.owns?.("t/globex/d/1/telemetry", Buffer.of()), false);
  assert.ok(!rest.formerTopics.includes("t/+/d/+/telemetry"), "what it wants is not unsubscribed");
});

test("limits are as much smaller as what comes to a slot: tenants are spread by hash, devices only by a shared subscription", () => {
  const limits = {
    ...ADMISSION_DEFAULTS,
    tenantRate: { perSecond: 100, burst: 10, policy: "shed" as const },
    tenants: [{ tenant: "acme", deviceRate: { perSecond: 2, burst: 1, policy: "drop" as const } }],
  };
  const part = (settings: ScaleOutSettings) => admissionOf(limits, slotsOf(settings, ALL)[0]);
  const hash = part({ mode: "hash", slots: 4 });
  assert.equal(hash.tenantRate?.perSecond, 25);
  assert.equal(hash.tenantRate.burst, 3);
  assert.equal(hash.tenants[0].deviceRate?.perSecond, 2);
  assert.deepEqual(hash.badTopicRate, { perSecond: 25, burst: 250 }, "topics of no device are spread as tenants are");
  const shared = part({ mode: "shared", slots: 4 });
  assert.equal(shared.tenants[0].deviceRate?.perSecond, 0.5);
  assert.equal(shared.tenants[0].deviceRate.burst, 1, "a burst is at least one message");
  assert.equal(part({ mode: "filters", filters: [["t/#"]] }).tenantRate?.perSecond, 100);
});

test("what answers may be where nothing is said of it is worked out of the whole limits, then divided as a device's are", () => {
  const shed = "shed" as const;
  const limits = {
    ...ADMISSION_DEFAULTS,
    deviceRate: { perSecond: 2, burst: 1, policy: shed },
    tenants: [
      { tenant: "fast", deviceRate: { perSecond: 400, burst: 800, policy: "drop" as const } },
      { tenant: "own", answerRate: { perSecond: 8, burst: 4, policy: shed } },
    ],
  };
  const part = (settings: ScaleOutSettings) => admissionOf(limits, slotsOf(settings, ALL)[0]);
  const rates = ({ answerRate, tenants }: ReturnType<typeof part>) => [answerRate, ...tenants.map((own) => own.answerRate)];
  assert.deepEqual(rates(part({ mode: "hash", slots: 4 })), [
    { perSecond: 20, burst: 100, policy: "shed" },
    { perSecond: 400, burst: 800, policy: "drop" },
    { perSecond: 8, burst: 4, policy: "shed" },
  ]);
  assert.deepEqual(rates(part({ mode: "shared", slots: 4 })), [
    { perSecond: 5, burst: 25, policy: "shed" },
    { perSecond: 100, burst: 200, policy: "drop" },
    { perSecond: 2, burst: 1, policy: "shed" },
  ]);
});

const PROBLEMS: readonly (readonly [ScaleOutSettings, string | undefined])[] = [
  [{ mode: "hash", slots: 2 }, undefined],
  [{ mode: "hash" }, "slots"],
  [{ mode: "hash", slots: 2, filters: [["a"]] }, "filters"],
  [{ mode: "filters" }, "filters"],
  [{ mode: "filters", filters: [["a"]], slots: 1 }, "slots"],
  [{ mode: "filters", filters: [["$share/g/a"]] }, "filters"],
  [{ mode: "shared", slots: 2, replica: 0 }, "replica"],
  [{ mode: "shared", slots: 2, replica: 2, replicas: 2 }, "replica"],
  [{ mode: "shared", slots: 2, replica: 1, replicas: 2 }, undefined],
];

test("settings that do not go together are named by their key", () => {
  for (const [settings, key] of PROBLEMS) assert.equal(scaleOutProblem(settings)?.key, key, JSON.stringify(settings));
});

const MATCHES: readonly (readonly [filter: string, topic: string, expected: boolean])[] = [
  ["t/+/d/+/telemetry", "t/a/d/b/telemetry", true],
  ["t/+/d/+/telemetry", "t/a/d/b/c/telemetry", false],
  ["t/+/d/+/telemetry", "t/a/d/b", false],
  ["t/a/#", "t/a", true],
  ["t/a/#", "t/a/b/c", true],
  ["t/a/#", "t/ab/c", false],
  ["+/+", "/x", true],
  ["+", "/x", false],
  ["#", "$SYS/broker", false],
  ["+/broker", "$SYS/broker", false],
  ["$SYS/#", "$SYS/broker", true],
];

test("topic filters match as MQTT says", () => {
  for (const [filter, topic, expected] of MATCHES) assert.equal(filterMatches(filter, topic), expected, `${filter} on ${topic}`);
});
