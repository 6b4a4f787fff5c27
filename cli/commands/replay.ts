import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { EventLog, PartitionOffset } from "../../eventlog/port.ts";
import { Worker } from "../../runtime/worker.ts";
import type { Topology } from "../../topology/topology.ts";
import { existingInternalTopics, inputPartitions, localState, requireNoMembers, type Application } from "../application.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import type { Config } from "../config/schema.ts";
import { EXIT } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import { prepareJob, withoutShadow } from "../job.ts";
import { resolvePosition, type LogPosition } from "../log-position.ts";
import { openKafka } from "../open-kafka.ts";
import { toStderr } from "../output.ts";
import { boundedLog } from "../replay/bounded-log.ts";
import { replayProgress, type ReplayRange } from "../replay/drained.ts";
import { createReplayTopics, intoConfig } from "../replay/replay-topics.ts";
import { executeReset, planReset } from "../reset.ts";
import { runService } from "../service.ts";

/** Between two looks at the committed offsets, and two lines of progress. */
const PROGRESS_MS = 1_000;

export interface ReplayOptions extends CommonOptions {
  readonly from: LogPosition;
  readonly to: LogPosition;
  readonly into?: string;
}

/** `sluice replay`: a bounded run of the job over what the log still holds. docs/operations.md says what that means. */
export async function run(options: ReplayOptions): Promise<number> {
  const context = commandContext(options, { quietLevel: "warn" });
  const { logger, output } = context;
  const job = withoutShadow(context.config);
  const config = options.into === undefined ? job : intoConfig(job, options.into);
  const { applicationId } = config;
  let finished: { records: number } | undefined;
  const code = await runService(
    async (closers) => {
      const log = openKafka(config, logger);
      closers.push("kafka", () => log.close());
      const { topology } = await prepareJob(config);
      const application: Application = {
        applicationId,
        topology: topology.forApplication(applicationId),
        stateDir: config.state.dir,
        kept: [],
      };
      await requireNoMembers(application, log);
      const range = await prepare(application, log, config, options);
      const worker = replayWorker(config, topology, boundedLog(log, range.ends), logger);
      closers.push("worker", () => worker.stop());
      await worker.start();
      const ending = new AbortController();
      closers.push("progress", () => Promise.resolve(ending.abort()));
      const replay = async (): Promise<void> => {
        const records = await untilComplete(application, log, range, ending.signal);
        if (records === undefined) return;
        await worker.stop();
        // what it had for itself is of no more use; its topics are the result
        if (options.into !== undefined) await forget(application, log);
        finished = { records };
      };
      // a worker that failed ends it; one that was stopped does not
      return { finished: Promise.race([replay(), worker.finished.then(() => new Promise<never>(() => undefined))]) };
    },
    { logger },
  );
  if (finished === undefined)
    toStderr(`interrupted: ${options.into === undefined ? "a worker goes on from here" : "the same command goes on from here"}`);
  else
    output.result(`${finished.records} records processed again by ${applicationId}`, { applicationId, topics: config.topics, ...finished });
  return code === EXIT.ok && finished === undefined ? EXIT.failure : code;
}

/** Where it begins and ends. A replay into topics of its own that was interrupted goes on from its committed offsets. */
async function prepare(application: Application, log: EventLog, config: Config, { from, to, into }: ReplayOptions): Promise<ReplayRange> {
  const { applicationId } = application;
  const partitions = await inputPartitions(application, log);
  const ends = await resolvePosition(log.admin, partitions, to);
  const committed = into === undefined ? [] : await log.admin.groupOffsets(applicationId, partitions);
  if (committed.length === 0) await requireFresh(application, log, config, into);
  const wanted = await resolvePosition(log.admin, partitions, from);
  const starts = wanted.map((start): PartitionOffset => {
    return committed.find(({ topic, partition }) => topic === start.topic && partition === start.partition) ?? start;
  });
  if (committed.length === 0) await log.admin.setGroupOffsets(applicationId, starts);
  return { starts, ends };
}

/** Nothing may be there that the same records went into before. */
async function requireFresh(application: Application, log: EventLog, config: Config, into: string | undefined): Promise<void> {
  if (into !== undefined) return createReplayTopics(log, config, into);
  const left = [...(await existingInternalTopics(application, log)), localState(application) ?? []].flat();
  if (left.length > 0)
    throw new CommandFailure(
      "not-reset",
      `${application.applicationId} has state (${left.join(", ")}) that these records are in already: sluice reset first, or replay --into a suffix`,
    );
}

function replayWorker(config: Config, topology: Topology, log: EventLog, logger: Logger): Worker {
  return new Worker({
    applicationId: config.applicationId,
    topology,
    log,
    state: config.state,
    processing: config.processing,
    handlers: config.processing,
    sessionTimeoutMs: config.kafka.sessionTimeoutMs,
    deadLetterTopic: config.topics.dlq,
    maxDeadLetterBytes: config.validation.maxValueBytes,
    logger,
  });
}

/** Returns the number of records, undefined when told to stop before the end. */
async function untilComplete(
  application: Application,
  log: EventLog,
  range: ReplayRange,
  signal: AbortSignal,
): Promise<number | undefined> {
  const startedAt = performance.now();
  let before = -1;
  while (!signal.aborted) {
    const { done, total, complete } = await replayProgress(application, log, range);
    const perSecond = done / ((performance.now() - startedAt) / 1000);
    const left = perSecond > 0 ? `, ${Math.ceil((total - done) / perSecond)} s left` : "";
    if (done !== before) toStderr(`${done} of ${total} (${Math.round(perSecond)} a second${left})`);
    before = done;
    if (complete) return total;
    await delay(PROGRESS_MS, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
  }
  return undefined;
}

async function forget(application: Application, log: EventLog): Promise<void> {
  const plan = await planReset(application, log, { kind: "latest" });
  await executeReset(application, log, { ...plan, offsets: [] }, () => undefined);
}
