/** A right taken away from a running worker: waiting cannot bring it back, so it ends and says which right it misses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { ingressRights, workerRights, type Right } from "../../cli/acls.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { spawnCli } from "../support/spawn-cli.ts";
import { readTopic } from "../support/telemetry.ts";
import { waitFor } from "../support/wait-for.ts";
import { Acls, saslClient, startGuardedKafka } from "./acls.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults, SESSION_TIMEOUT_MS } from "./job-under-faults.ts";

const skip = await need("kafka", "kcat", "mosquitto");
const EVENTS = 1_000;

/** All that a worker needs, and the documentation lists: no other right is given. */
function rightsOf({ topics, group }: JobUnderFaults): readonly Right[] {
  return workerRights({ applicationId: group, topics });
}

interface Loss {
  readonly right: string;
  readonly of: (job: JobUnderFaults) => Right;
  /** What it was doing (whichever request meets the loss first), to what, and the answer. */
  readonly says: (job: JobUnderFaults) => RegExp;
}

const losses: readonly Loss[] = [
  {
    right: "Write on an output topic",
    of: ({ topics }) => ({ operation: "Write", resource: "Topic", name: topics.normalized }),
    says: ({ topics }) =>
      new RegExp(`(AddPartitionsToTxn of \\S+ for|Produce to|metadata of) ${topics.normalized}.*TOPIC_AUTHORIZATION_FAILED`),
  },
  {
    right: "Read on the source topic",
    of: ({ topics }) => ({ operation: "Read", resource: "Topic", name: topics.raw }),
    says: ({ topics }) => new RegExp(`(reading|offsets of|metadata of) ${topics.raw}.*TOPIC_AUTHORIZATION_FAILED`),
  },
  {
    right: "Read on the group",
    of: ({ group }) => ({ operation: "Read", resource: "Group", name: group }),
    says: ({ group }) =>
      new RegExp(
        `(heartbeat|TxnOffsetCommit|AddOffsetsToTxn|JoinGroup|committed offsets?) (of|for) .*${group}.*GROUP_AUTHORIZATION_FAILED`,
      ),
  },
  {
    right: "Write on its transactional ids",
    of: ({ group }) => ({ operation: "Write", resource: "TransactionalId", name: `${group}/`, prefix: true }),
    says: ({ group }) =>
      new RegExp(
        `(AddPartitionsToTxn|AddOffsetsToTxn|InitProducerId|EndTxn|coordinator) (of|of transaction) ${group}/.*TRANSACTIONAL_ID_AUTHORIZATION_FAILED`,
      ),
  },
];

test(
  "a right is lost while a worker works: exit code 1, naming operation and resource; exact once all rights are back",
  { skip, timeout: 120_000 },
  async (t) => {
    const kafka = await startGuardedKafka(t);
    const acls = await Acls.connect(t, kafka);
    const job = await JobUnderFaults.create(t, {
      kafka,
      partitions: 2,
      seed: 1,
      events: (1 + 2 * losses.length) * EVENTS,
      config: { kafka: { brokers: [kafka.proxies[0].address], sasl: saslClient.config, sessionTimeoutMs: SESSION_TIMEOUT_MS } },
      env: () => saslClient.env,
    });
    await acls.grant(rightsOf(job));
    await job.fleet.start("w1");
    await job.write(EVENTS);
    await job.drained();
    for (const loss of losses) {
      await t.test(loss.right, async () => {
        await acls.revoke(loss.of(job));
        await job.write(EVENTS);
        const worker = job.fleet.get("w1");
        assert.equal((await worker.exited).code, 1, worker.stderr());
        assert.match(worker.stderr(), loss.says(job));

        await acls.grant([loss.of(job)]);
        await job.fleet.start("w1");
        await job.write(EVENTS);
        await job.drained();
      });
    }
    await job.fleet.stopAll();
    assertExact(t, await job.differences());

    await t.test("an ingress with the rights listed for it, and no other, writes what it is sent", async (t) => {
      for (const right of rightsOf(job)) await acls.revoke(right);
      await acls.grant(ingressRights({ applicationId: job.group, topics: job.topics }));
      const mosquitto = await startMosquitto(t);
      const ingress = await spawnCli(t, ["ingress"], {
        config: {
          kafka: { brokers: [kafka.proxies[0].address], sasl: saslClient.config },
          mqtt: { url: mosquitto.url },
          topics: job.topics,
        },
        env: saslClient.env,
      });
      await ingress.waitForOutput(/ingress takes telemetry/);
      const device = await connectAsync(mosquitto.url);
      t.after(() => device.endAsync(true));
      const before = (await readTopic(job.log, job.topics.raw)).length;
      await device.publishAsync("t/demo/d/d1/telemetry", JSON.stringify({ seq: 1, tempC: 1 }), { qos: 1 });
      await waitFor("it is in raw", async () => (await readTopic(job.log, job.topics.raw)).length === before + 1);
      await ingress.stop();
    });
  },
);
