/** A right taken away from a running worker: waiting cannot bring it back, so it ends and says which right it misses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { need } from "../support/need.ts";
import { Acls, saslClient, startGuardedKafka, type Right } from "./acls.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults, SESSION_TIMEOUT_MS } from "./job-under-faults.ts";

const skip = await need("kafka", "kcat");
const EVENTS = 1_000;

/** All that a worker needs: no other right is given. */
function rightsOf({ topics, group }: JobUnderFaults): readonly Right[] {
  const { raw, ...outputs } = topics;
  return [
    { operation: "read", resource: "topic", name: raw },
    ...Object.values(topics).map((name: string): Right => ({ operation: "describe-configs", resource: "topic", name })),
    ...Object.values(outputs).map((name: string): Right => ({ operation: "write", resource: "topic", name })),
    // its changelogs
    ...(["create", "read", "write", "describe-configs"] as const).map((operation): Right => ({
      operation,
      resource: "topic",
      name: `${group}-`,
      prefix: true,
    })),
    { operation: "read", resource: "group", name: group },
    { operation: "write", resource: "transactionalId", name: `${group}/`, prefix: true },
  ];
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
    of: ({ topics }) => ({ operation: "write", resource: "topic", name: topics.normalized }),
    says: ({ topics }) => new RegExp(`(AddPartitionsToTxn for|Produce to|metadata of) ${topics.normalized}.*TOPIC_AUTHORIZATION_FAILED`),
  },
  {
    right: "Read on the source topic",
    of: ({ topics }) => ({ operation: "read", resource: "topic", name: topics.raw }),
    says: ({ topics }) => new RegExp(`(reading|offsets of|metadata of) ${topics.raw}.*TOPIC_AUTHORIZATION_FAILED`),
  },
  {
    right: "Read on the group",
    of: ({ group }) => ({ operation: "read", resource: "group", name: group }),
    says: ({ group }) =>
      new RegExp(
        `(heartbeat|TxnOffsetCommit|AddOffsetsToTxn|JoinGroup|committed offsets?) (of|for) .*${group}.*GROUP_AUTHORIZATION_FAILED`,
      ),
  },
  {
    right: "Write on its transactional ids",
    of: ({ group }) => ({ operation: "write", resource: "transactionalId", name: `${group}/`, prefix: true }),
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
  },
);
