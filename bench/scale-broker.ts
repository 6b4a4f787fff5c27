/**
 * Does a broker take so large a group? Members of one process join a real Kafka with the real assignor and real user data, all at once, and are
 * to have an assignment that names them all. Prints what the leader sent, how long it took and what went wrong. A broker of its own.
 *
 *     npm run bench:scale-broker -- [--tasks 1024] [--workers 100] [--broker-config '{"message.max.bytes":"10485760"}'] [--wait-s 40]
 */
import { parseArgs } from "node:util";
import type { Assignor, GroupListener } from "../eventlog/port.ts";
import { taskAssignor } from "../runtime/assignor.ts";
import { decodeAssignment, encodeSubscription } from "../runtime/group-protocol.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { benchKafka } from "./bench-kafka.ts";
import { conditions } from "./conditions.ts";
import { report } from "./report.ts";
import { tasksOf } from "./scale-group.ts";
import { withCleanup } from "./with-cleanup.ts";

const { values } = parseArgs({
  options: {
    tasks: { type: "string", default: "1024" },
    workers: { type: "string", default: "100" },
    "broker-config": { type: "string", default: "{}" },
    "wait-s": { type: "string", default: "40" },
  },
});
const workers = Number(values.workers);
/** Long: what is asked here is whether the group forms, not whether this process keeps so many alive. */
const SESSION_TIMEOUT_MS = 60_000;

await withCleanup(main);

async function main(cleanup: Cleanup): Promise<void> {
  const config = { "group.initial.rebalance.delay.ms": "3000", ...(JSON.parse(values["broker-config"]) as Record<string, string>) };
  const { kafka, log } = await benchKafka(cleanup, { config });
  const errors = new Map<string, number>();
  const failed = (error: unknown): void => {
    const text = error instanceof Error ? error.message : String(error);
    errors.set(text, (errors.get(text) ?? 0) + 1);
  };
  const members = new Map<number, number>();
  const { assignor, sent } = measured();
  const startedAt = performance.now();
  for (let n = 0; n < workers; n++) {
    const listener: GroupListener = {
      onAssigned: (assignment) => {
        members.set(n, decodeAssignment(assignment).members.length);
        return Promise.resolve();
      },
      onLost: (error) => Promise.resolve(failed(error)),
      onFatal: failed,
    };
    const member = log.group({
      groupId: "scale",
      topics: ["raw"],
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      rebalanceTimeoutMs: SESSION_TIMEOUT_MS,
      heartbeatIntervalMs: 3_000,
      userData: () => userDataOf(n),
      assignor,
      listener,
    });
    void member.start().catch(failed);
  }
  const complete = (): number => [...members.values()].filter((count) => count === workers).length;
  await waitFor("all have an assignment that names all", () => complete() === workers, {
    deadlineMs: Number(values["wait-s"]) * 1_000,
    intervalMs: 100,
  }).catch(failed);
  const ms = Math.round(performance.now() - startedAt);
  report.log(JSON.stringify(conditions({ kafka: "4.3.1", config })));
  report.log({
    tasks: Number(values.tasks),
    workers,
    assignmentKB: sent.map((bytes) => Math.round(bytes / 1e3)),
    assigned: complete(),
    ms,
  });
  if (errors.size > 0) report.log(Object.fromEntries(errors));
  const said = kafka.log().match(/^.*(RecordTooLarge|record-too-large|too large).*$/gim);
  if (said !== null) report.log(said[0]);
}

function measured(): { assignor: Assignor; sent: number[] } {
  const inner = taskAssignor({ tasks: () => Promise.resolve(tasksOf(Number(values.tasks))), standbyReplicas: 0 });
  const sent: number[] = [];
  const assignor: Assignor = {
    name: inner.name,
    async assign(members) {
      const assignments = await inner.assign(members);
      sent.push([...assignments.values()].reduce((sum, { length }) => sum + length, 0));
      return assignments;
    },
  };
  return { assignor, sent };
}

/** Of a worker that comes with nothing. */
function userDataOf(n: number): Buffer {
  const workerId = `sluice-worker-${n}`;
  return encodeSubscription({
    workerId,
    url: `http://${workerId}.sluice.svc.cluster.local:8080`,
    transactionalId: `sluice/${workerId}`,
    owned: [],
    running: [],
    standbys: [],
    positions: {},
    stateId: workerId,
    rack: undefined,
    readsPacked: true,
  });
}
