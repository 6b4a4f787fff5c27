/**
 * Where a worker's memory goes: one ceiling, and the share of each place that holds records, output or rows. A share is what is counted
 * there; the ceiling has room for what it takes in the end: room to grow, copies on their way, garbage not collected yet.
 * docs/operations.md has the table.
 */
import { RuntimeError } from "./errors.ts";

const MIB = 1024 * 1024;
/**
 * Node, our code and its libraries, the HTTP API (150 MiB before the first record); V8's young generation (32); what gathers in the old
 * one beside the cache's share (60 % of what lives there under a low ceiling: cli/heap-growth.ts). MiB.
 */
const PROCESS_MIB = 256;
/** A MiB of decoded rows by the cache's own count: the rows, and the garbage that V8 lets gather before it collects the old generation. */
const CACHE_FACTOR = 4;
/** Below it a record of 1 MB no longer fits everywhere. MiB. */
const MIN_FLOW_MIB = 80;
/** Of a worker that says nothing of its memory. MiB. */
const DEFAULT_FLOW_MIB = 320;
/** The shares below in all, with copies. */
const UNITS = 40;

export interface MemoryBudget {
  /** Fetched and not decoded yet. */
  readonly fetchBytes: number;
  /** One record batch, opened: its records and their columns. */
  readonly batchBytes: number;
  /** Output that waits for a commit; at most one such set more is on its way to the log, and its buffers come back as they are written. */
  readonly gatheredBytes: number;
  /** Changed rows that wait for a commit and cannot leave the cache until then; encoded, as they go out, they are less. */
  readonly changedBytes: number;
  /** Committed rows that the state engines do not have yet, of all tasks. */
  readonly uncheckpointedBytes: number;
  /**
   * Of tasks that restore: fetched and not decoded yet, and as much in rows that the engines do not have yet, and more of them where there
   * is room (`restoredRowBytes`).
   */
  readonly restoreBytes: number;
  /** Of all standbys: fetched and not decoded yet. Copies may lag; the running tasks' own fetches come first. */
  readonly standbyFetchBytes: number;
  /** Of all standbys: rows that the engines do not have yet. */
  readonly standbyRowBytes: number;
}

/** Of rows that restores hold: their own share, and what the other tasks, which have `taken` bytes, leave of theirs. */
export function restoredRowBytes({ restoreBytes, uncheckpointedBytes }: MemoryBudget, taken: number): number {
  return restoreBytes + Math.max(0, uncheckpointedBytes - taken);
}

/** `memoryMiB` when it is not set. */
export function defaultMemoryMiB(cacheMiB: number): number {
  return PROCESS_MIB + CACHE_FACTOR * cacheMiB + DEFAULT_FLOW_MIB;
}

/** The least that `memoryMiB` may be. */
export function minMemoryMiB(cacheMiB: number): number {
  return PROCESS_MIB + CACHE_FACTOR * cacheMiB + MIN_FLOW_MIB;
}

/** @throws RuntimeError `too-little-memory` */
export function memoryBudget(cacheMiB: number, memoryMiB = defaultMemoryMiB(cacheMiB)): MemoryBudget {
  const least = minMemoryMiB(cacheMiB);
  if (memoryMiB < least)
    throw new RuntimeError(
      "too-little-memory",
      `a worker with a cache of ${cacheMiB} MiB needs ${least} MiB, and ${memoryMiB} are allowed`,
    );
  const unit = Math.floor(((memoryMiB - PROCESS_MIB - CACHE_FACTOR * cacheMiB) * MIB) / UNITS);
  return {
    fetchBytes: Math.floor(unit / 2),
    batchBytes: 8 * unit,
    gatheredBytes: 4 * unit,
    changedBytes: 8 * unit,
    uncheckpointedBytes: 4 * unit,
    restoreBytes: 2 * unit,
    standbyFetchBytes: unit,
    standbyRowBytes: 2 * unit,
  };
}
