/**
 * The way back after a failed commit: whatever went through is in the log, and every task begins again from there. One path for
 * abortable, retriable and unknown outcomes; fenced: the tasks are closed, and the group is joined anew.
 */
import type { Logger } from "pino";
import { LogError } from "../eventlog/errors.ts";
import type { Committer } from "./committer.ts";
import { messageOf, RuntimeError } from "./errors.ts";
import type { LogSink } from "./log-sink.ts";
import type { Membership } from "./membership.ts";
import type { Outage } from "./outage.ts";
import type { OutputCollector } from "./output-collector.ts";
import type { PartitionCounts } from "./partition-counts.ts";
import type { ProcessingLoop } from "./processing-loop.ts";
import type { RefusedOutput } from "./refused-output.ts";
import type { TaskManager } from "./task-manager.ts";
import type { WorkerMetrics } from "./worker-metrics.ts";

export interface RecoveryOptions {
  readonly sink: LogSink;
  readonly committer: Committer;
  readonly collector: OutputCollector;
  readonly tasks: TaskManager;
  readonly processing: ProcessingLoop;
  readonly membership: Membership;
  readonly topics: PartitionCounts;
  readonly outage: Outage;
  readonly deadLetterTopic: string | undefined;
  /** Undefined when the topic is no changelog. */
  readonly storeOf: (topic: string) => string | undefined;
  readonly metrics: WorkerMetrics;
  readonly logger: Logger;
}

export class Recovery {
  readonly #options: RecoveryOptions;
  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /** One attempt. The committer has its failure still when it was too early. Rejects with what no attempt mends. */
  async attempt(failure: Error): Promise<void> {
    const { committer, collector, tasks, sink, membership, processing, outage, metrics, logger } = this.#options;
    await committer.settled();
    const { refused } = committer;
    const action = refused !== undefined ? "abortable" : failure instanceof LogError ? failure.action : "unknown-outcome";
    // once an outage; its end is said when a commit goes through
    logger[outage.attempts > 1 ? "debug" : "warn"]({ err: failure, action }, "commit failed: recovering");
    metrics.recovered(action);
    if (action === "fatal") throw failure;
    if (outage.isTooLong) {
      const seconds = Math.round(outage.ms / 1000);
      throw new RuntimeError("recovery-timeout", `no commit has gone through for ${seconds} s: ${messageOf(failure)}`, failure);
    }
    collector.discard();
    const isFenced = action === "fenced";
    const ownedTasks = tasks.taskIds.length > 0;
    if (isFenced) await tasks.closeAll();
    try {
      await sink.recover();
      if (refused !== undefined) await this.#learn(refused, failure);
    } catch (error) {
      if (error instanceof RuntimeError || (error instanceof LogError && error.action === "fatal")) throw error;
      logger.debug({ err: error }, "the log is not back yet");
      return;
    }
    outage.recovered();
    committer.clearFailure();
    if (isFenced && ownedTasks) membership.startOver();
    else await tasks.reopenAll(membership.group);
    processing.assign();
  }

  /**
   * A topic takes less than was known. Output is made again within its new limit, where handlers are given what does not fit; a row
   * of a store is not ours to leave out.
   */
  async #learn({ topic, batch, key }: RefusedOutput, failure: unknown): Promise<void> {
    const { topics, collector, deadLetterTopic, storeOf, logger } = this.#options;
    await topics.refused(topic, batch, topic === deadLetterTopic);
    const maxBytes = topics.recordLimitOf(topic).bytes;
    const store = storeOf(topic);
    if (store !== undefined && batch.records === 1)
      throw new RuntimeError(
        "row-too-large",
        `a row of store "${store}" takes ${batch.bytes} bytes, and its changelog ${topic} at most ${maxBytes} (max.message.bytes): ` +
          `raise that, or keep less under key ${keyText(key)}`,
        failure,
      );
    collector.limitsChanged();
    logger.warn(
      { topic, ...batch, maxRecordBytes: maxBytes, maxBatchBytes: topics.maxBatchBytesOf(topic) },
      "the topic takes less than before: what does not fit is made again in smaller batches, or given to the production error handler",
    );
  }
}

/** Longest key that is shown, in bytes. */
const SHOWN_KEY_BYTES = 200;

/** As text where it is text, else in hexadecimal. */
function keyText(key: Buffer | null): string {
  if (key === null) return "(none)";
  const shown = key.subarray(0, SHOWN_KEY_BYTES);
  const text = shown.toString("utf8");
  const more = shown.length < key.length ? "..." : "";
  return /^[^\p{C}\uFFFD]*$/u.test(text) ? `"${text}${more}"` : `0x${shown.toString("hex")}${more}`;
}
