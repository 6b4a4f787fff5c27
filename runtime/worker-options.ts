/** What a worker is given. */
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { EventLog } from "../eventlog/port.ts";
import type { EngineName } from "../state/engines/engine.ts";
import type { OffsetResetPolicy } from "./offset-reset.ts";
import type { Topology } from "../topology/topology.ts";
import type { ErrorHandlers } from "./error-handlers.ts";

export interface WorkerOptions {
  /** Consumer group; prefix of changelogs and transactional ids. */
  readonly applicationId: string;
  /** Static membership and a stable transactional id: a restart takes its tasks back at once. */
  readonly instanceId?: string;
  readonly topology: Topology;
  readonly log: EventLog;
  readonly state: { readonly dir: string; readonly engine: EngineName; readonly cacheMiB: number };
  readonly processing: {
    readonly guarantee: "exactly-once" | "at-least-once";
    readonly commitIntervalMs: number;
    /** Ceiling of the process's memory (memory-budget.ts). Default 576 and four times the cache. */
    readonly memoryMiB?: number;
    /** Committed rows reach the state engine this often. Default 5000. */
    readonly checkpointIntervalMs?: number;
    /** What was processed of repartition topics is deleted this often. Default 30000. */
    readonly repartitionPurgeIntervalMs?: number;
    /** Partition counts of the source topics are looked at this often. Default 30000. */
    readonly sourceCheckIntervalMs?: number;
    /** After so long in recovery without a commit that goes through, the worker fails with `recovery-timeout`. Default 300000. */
    readonly recoveryTimeoutMs?: number;
    /** When the log does not have the next record. Default `earliest`. */
    readonly offsetReset?: OffsetResetPolicy;
    /** Copies of each task's state on other workers, which take over without a restore. Default 0. */
    readonly standbyReplicas?: number;
    /** Changelog offsets that the new worker of a task may have to replay before it goes on. Default ACCEPTABLE_LAG. */
    readonly acceptableRecoveryLag?: number;
  };
  readonly sessionTimeoutMs: number;
  /** Where this worker stands, e.g. an availability zone: copies go to other racks than their task, as far as there are any. */
  readonly rack?: string;
  /** Where records go that cannot be processed. */
  readonly deadLetterTopic?: string;
  /** Instead of the defaults: with a dead-letter topic they go there, without one they stop the worker. */
  readonly handlers?: ErrorHandlers;
  /** A longer value is cut in the dead-letter topic. Default 1,000,000. */
  readonly maxDeadLetterBytes?: number;
  /** Where other workers reach this one's HTTP API. */
  readonly advertisedUrl?: string;
  readonly logger: Logger;
  readonly registry?: Registry;
}
