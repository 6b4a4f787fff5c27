import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../../cli/config/load.ts";
import { requireTopics } from "../../../cli/topics/require-topics.ts";
import { problemText, verifyTopics } from "../../../cli/topics/verify.ts";
import { wantedTopics } from "../../../cli/topics/wanted-topics.ts";
import type { Admin, TopicDescription, TopicSpec } from "../../../eventlog/port.ts";

const { config } = loadConfig(undefined, { SLUICE_TOPIC_DEFAULTS_PARTITIONS: "4", SLUICE_TOPIC_DEFAULTS_MIN_INSYNC_REPLICAS: "2" });
const wanted = wantedTopics(config);

/** An admin that knows these topics and can do nothing else. */
function adminWith(topics: readonly TopicDescription[]): Admin {
  return {
    describeTopics: (names: readonly string[]) => Promise.resolve(topics.filter((topic) => names.includes(topic.name))),
  } as Partial<Admin> as Admin;
}

function changed(name: string, partitions: number | undefined, settings: Record<string, string>): TopicSpec[] {
  return wanted.map((topic) =>
    topic.name === name ? { ...topic, partitions: partitions ?? topic.partitions, config: { ...topic.config, ...settings } } : topic,
  );
}

async function problems(topics: readonly TopicDescription[]): Promise<string[]> {
  return (await verifyTopics(adminWith(topics), wanted)).map(problemText);
}

test("the job's six topics are wanted, the device state compacted", () => {
  assert.deepEqual(
    wanted.map((topic) => [topic.name, topic.partitions, topic.config["cleanup.policy"]]),
    [
      ["iot.telemetry.raw", 4, "delete"],
      ["iot.telemetry.normalized", 4, "delete"],
      ["iot.telemetry.aggregates", 4, "delete"],
      ["iot.alerts", 4, "delete"],
      ["iot.telemetry.dlq", 4, "delete"],
      ["iot.device.state", 4, "compact"],
    ],
  );
});

test("raw topics of tenants are wanted as the one of all, each once", () => {
  const tenants =
    "[{ tenant: a, rawTopic: raw.a }, { tenant: b, rawTopic: raw.a }, { tenant: c, rawTopic: iot.telemetry.raw }, { tenant: d }]";
  const { config: own } = loadConfig(undefined, { SLUICE_ADMISSION_TENANTS: tenants });
  const [raw] = wantedTopics(own);
  const added = wantedTopics(own).filter(({ name }) => !wanted.some((topic) => topic.name === name));
  assert.deepEqual(added, [{ ...raw, name: "raw.a" }]);
});

test("a longer value limit makes room for such records", () => {
  const { config: long } = loadConfig(undefined, { SLUICE_VALIDATION_MAX_VALUE_BYTES: "5000000" });
  assert.ok(Number(wantedTopics(long)[0].config["max.message.bytes"]) > 5_000_000);
});

test("topics as they were made are right", async () => {
  assert.deepEqual(await problems(wanted), []);
});

test("a wrong setting is named with what it is and must be", async () => {
  assert.deepEqual(await problems(changed("iot.telemetry.raw", 1, {})), ["topic iot.telemetry.raw: partitions is 1, must be 4"]);
  assert.deepEqual(await problems(changed("iot.device.state", undefined, { "cleanup.policy": "delete" })), [
    "topic iot.device.state: cleanup.policy is delete, must be compact",
  ]);
  assert.deepEqual(await problems(changed("iot.alerts", undefined, { "retention.ms": "1000" })), [
    "topic iot.alerts: retention.ms is 1000, must be at least 604800000",
  ]);
  assert.deepEqual(await problems(changed("iot.alerts", undefined, { "min.insync.replicas": "1" })), [
    "topic iot.alerts: min.insync.replicas is 1, must be at least 2",
  ]);
  assert.deepEqual(await problems(changed("iot.telemetry.raw", undefined, { "message.timestamp.type": "LogAppendTime" })), [
    "topic iot.telemetry.raw: message.timestamp.type is LogAppendTime, must be CreateTime",
  ]);
});

test("longer retention and more replicas in sync than wanted are right", async () => {
  assert.deepEqual(await problems(changed("iot.alerts", undefined, { "retention.ms": "-1", "min.insync.replicas": "3" })), []);
  assert.deepEqual(await problems(changed("iot.alerts", undefined, { "retention.ms": "99999999999" })), []);
});

test("a service refuses to start on topics that are missing or wrong, and says all of it", async () => {
  const admin = adminWith(changed("iot.telemetry.raw", 1, {}).filter((topic) => topic.name !== "iot.alerts"));
  await assert.rejects(requireTopics(admin, config), (error: Error & { code?: string }) => {
    assert.equal(error.code, "wrong-topics");
    assert.match(error.message, /iot\.telemetry\.raw: partitions is 1, must be 4/);
    assert.match(error.message, /iot\.alerts does not exist/);
    return true;
  });
  await requireTopics(adminWith(wanted), config);
});
