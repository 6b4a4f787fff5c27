import assert from "node:assert/strict";
import { test } from "node:test";
import { configSchema } from "../../../cli/config/schema.ts";
import { keptTopics, withoutShadow } from "../../../cli/job.ts";
import { intoConfig } from "../../../cli/replay/replay-topics.ts";
import { executeReset, planReset } from "../../../cli/reset.ts";
import { wantedTopics } from "../../../cli/topics/wanted-topics.ts";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { changelogTopic } from "../../../state/changelog.ts";
import { buildTelemetryTopology } from "../../../processors/telemetry-topology.ts";
import { tempDir } from "../../support/temp-dir.ts";

const config = configSchema.parse({ applicationId: "app", shadow: { enabled: true }, topicDefaults: { partitions: 1 } });

test("a reset leaves shadows alone: their input's offsets and their changelog stay, while telemetry begins anew", async (t) => {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "log") });
  t.after(() => log.close());
  await log.admin.createTopics(wantedTopics(config));
  const changelogs = [changelogTopic("app", "ledger"), changelogTopic("app", "shadows")];
  await log.admin.createTopics(changelogs.map((name) => ({ name, partitions: 1, config: {} })));
  const [raw, updates] = [config.topics.raw, config.shadow.updatesTopic].map((topic) => ({ topic, partition: 0 }));
  await log.admin.setGroupOffsets("app", [
    { ...raw, offset: 5 },
    { ...updates, offset: 3 },
  ]);
  const topology = buildTelemetryTopology(withoutShadow(config)).forApplication("app");
  const application = { applicationId: "app", topology, stateDir: tempDir(t, "state"), kept: keptTopics(config) };
  const plan = await planReset(application, log, { kind: "earliest" });
  await executeReset(application, log, plan, () => undefined);
  const offsets = await log.admin.groupOffsets("app", [raw, updates]);
  assert.deepEqual(
    new Map(offsets.map(({ topic, offset }) => [topic, offset])),
    new Map([
      [raw.topic, 0],
      [updates.topic, 3],
    ]),
  );
  const left = await log.admin.describeTopics(changelogs);
  assert.deepEqual(
    left.map(({ name }) => name),
    [changelogs[1]],
  );
});

test("a replay into topics of its own reads and writes no shadows", () => {
  const into = intoConfig(withoutShadow(config), "r1");
  assert.deepEqual(buildTelemetryTopology(into).sourceTopics, [config.topics.raw]);
  assert.ok(wantedTopics(into).every(({ name }) => !name.startsWith("iot.shadow")));
});
