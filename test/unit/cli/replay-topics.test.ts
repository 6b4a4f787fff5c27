import assert from "node:assert/strict";
import { test } from "node:test";
import { configSchema } from "../../../cli/config/schema.ts";
import { createReplayTopics, intoConfig } from "../../../cli/replay/replay-topics.ts";
import { wantedTopics } from "../../../cli/topics/wanted-topics.ts";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { tempDir } from "../../support/temp-dir.ts";

test("a replay's topics are the job's outputs alone, also where others (commands, presence, a tenant's raw topic) hold records", async (t) => {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "log") });
  t.after(() => log.close());
  const config = configSchema.parse({
    commands: { enabled: true },
    presence: {},
    deviceRegistry: { mode: "open" },
    admission: { tenants: [{ tenant: "acme", rawTopic: "iot.telemetry.raw.acme" }] },
    topicDefaults: { partitions: 1 },
  });
  await log.admin.createTopics(wantedTopics(config));
  const writer = log.plainWriter({});
  for (const { name: topic } of wantedTopics(config))
    await new Promise<void>((resolve, reject) => {
      writer.send({ topic, partition: 0 }, Buffer.from("k"), Buffer.from("v"), undefined, 1, (error) =>
        error === undefined ? resolve() : reject(error),
      );
    });
  await writer.close();

  const into = intoConfig(config, "r1");
  await createReplayTopics(log, into, "r1");
  const { raw, ...outputs } = config.topics;
  const wanted = Object.values(outputs).map((name) => `${name}.r1`);
  const made = await log.admin.describeTopics([...wanted, `${raw}.r1`, `${config.commands.topic}.r1`]);
  assert.deepEqual(made.map(({ name }) => name).sort(), wanted.sort());
});
