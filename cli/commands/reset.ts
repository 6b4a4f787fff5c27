import { rm } from "node:fs/promises";
import type { EventLog } from "../../eventlog/port.ts";
import { buildTelemetryTopology } from "../../processors/telemetry-topology.ts";
import { localState, requireNoMembers, type Application } from "../application.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { EXIT } from "../exit-codes.ts";
import { keptTopics, withoutShadow } from "../job.ts";
import type { LogPosition } from "../log-position.ts";
import { openKafka } from "../open-kafka.ts";
import { toStderr, type Output } from "../output.ts";
import { executeReset, planReset, type ResetPlan } from "../reset.ts";

export interface ResetOptions extends CommonOptions {
  readonly to: LogPosition;
  readonly yes?: boolean;
  readonly localOnly?: boolean;
}

/** `sluice reset`: offsets, internal topics and local state of the job, as if it had never run. Without --yes only says what it would do. */
export async function run(options: ResetOptions): Promise<number> {
  const { config, logger, output } = commandContext(options, { quietLevel: "warn" });
  const { applicationId } = config;
  const application: Application = {
    applicationId,
    topology: buildTelemetryTopology(withoutShadow(config)).forApplication(applicationId),
    stateDir: config.state.dir,
    kept: keptTopics(config),
  };
  const log = openKafka(config, logger);
  try {
    const done = options.yes === true;
    if (options.localOnly === true) return await resetLocal(application, log, done, output);
    const plan = await planReset(application, log, options.to);
    if (done) await uninterrupted(() => executeReset(application, log, plan, toStderr));
    output.result(planText(plan, done), { applicationId, done, ...plan });
    return EXIT.ok;
  } finally {
    await log.close();
  }
}

/** A reset that has begun is finished: half of one would process records into state that knows them, or lose some. */
async function uninterrupted(work: () => Promise<void>): Promise<void> {
  const onSignal = (signal: NodeJS.Signals): void => toStderr(`${signal}: finishing the reset first`);
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  try {
    await work();
  } finally {
    process.removeListener("SIGTERM", onSignal).removeListener("SIGINT", onSignal);
  }
}

/** On the other machines of an application that was reset. */
async function resetLocal(application: Application, log: EventLog, done: boolean, output: Output): Promise<number> {
  await requireNoMembers(application, log);
  const state = localState(application) ?? null;
  if (done && state !== null) await rm(state, { recursive: true, force: true });
  output.result(stateText(state, done), { applicationId: application.applicationId, done, state });
  return EXIT.ok;
}

function planText({ offsets, topics, state }: ResetPlan, done: boolean): string {
  const lines = [
    ...offsets.map(({ topic, partition, from, to }) => `offset ${topic}/${partition}: ${from ?? "none"} -> ${to}`),
    ...topics.map((topic) => `${done ? "deleted" : "delete"} topic ${topic}`),
    stateText(state, done),
    done ? "reset; output topics are as they were" : "nothing was changed: --yes does it",
  ];
  return lines.join("\n");
}

function stateText(state: string | null, done: boolean): string {
  return state === null ? "no local state here" : `${done ? "deleted" : "delete"} directory ${state}`;
}
