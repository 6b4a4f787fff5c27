import assert from "node:assert/strict";
import { pino } from "pino";
import { KafkaLog } from "../../../eventlog/kafka/kafka-log.ts";
import type { Cleanup } from "../../support/cleanup.ts";
import type { Kafka } from "../../support/kafka.ts";
import { spawnCli } from "../../support/spawn-cli.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { Follower } from "./follower.ts";
import type { LoadPlan } from "./load.ts";
import type { Rig } from "./rig.ts";
import { Tally } from "./tally.ts";

const DRAIN_DEADLINE_MS = 300_000;

/** What the job makes of a rig's raw topic: a worker reads it to its end, and its normalized records are counted. */
export async function dedupe(t: Cleanup, kafka: Kafka, { name, topics }: Rig, plans: readonly LoadPlan[]): Promise<Tally> {
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: name, logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  const tally = new Tally();
  for (const plan of plans) tally.expect(plan);
  const config = {
    applicationId: name,
    kafka: { brokers: kafka.bootstrap },
    topics,
    state: { dir: tempDir(t, "bridge-state") },
    http: { port: 0 },
  };
  const worker = await spawnCli(t, ["worker"], { config });
  const follower = await Follower.start(log, topics.normalized, tally);
  await waitUntilDrained(log, name, topics.raw, DRAIN_DEADLINE_MS);
  assert.equal((await worker.stop()).code, 0, worker.stderr());
  await follower.finish();
  return tally;
}
