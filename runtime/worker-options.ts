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
    /** Ceiling of the process's memory (memory-budget.ts). Default 512 and four times the cache. */
    readonly memoryMiB?: number;
    /** Committed rows reach the state engine this often. Default 5000. */
    readonly checkpointIntervalMs?: number;
    /** What was processed of repartition topics is deleted this often. Default 30000. */
    readonly repartitionPurgeIntervalMs?: number;
    /** When the log does not have the next record. Default `earliest`. */
    readonly offsetReset?: OffsetResetPolicy;
  };
  readonly sessionTimeoutMs: number;
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
