/**
 * Which boot an event belongs to when the device sends no bootId: "seq restarts together with a time jump".
 * The rule rests on one fact: a copy of an event has the event's own ts, so it never lies outside the time range of
 * its boot. Never guesses a restart from a lower seq alone. In words: processors/README.md.
 */
import type { BootRow } from "./ledger.ts";

/** How far below the greatest seq a number must be for a restart without a time jump. Wider than any in-flight window. */
const REORDER_WINDOW = 1_000;

/** Events without a ts: the device must have been silent this long for a restart. Receive time, ms. */
const SILENCE_MS = 30_000;

export type ImplicitBoot = { readonly kind: "known"; readonly boot: BootRow } | typeof OPEN_NEW | typeof GIVEN_UP;
export const OPEN_NEW = { kind: "new" } as const;
/** The event is of a boot whose numbers are no longer kept. */
export const GIVEN_UP = { kind: "given-up" } as const;

export interface ImplicitQuery {
  /** Of one device; explicit ones are passed over. Last opened first. */
  readonly boots: readonly BootRow[];
  /** LedgerRow.givenUpTs */
  readonly givenUpTs: number;
  readonly seq: number;
  /** The ts that the device sent; NaN for none, or for one that validate replaced. Epoch ms. */
  readonly ts: number;
  readonly receiveTime: number;
  /** dedupe.restartJumpMs */
  readonly restartJumpMs: number;
}

export function findImplicitBoot(query: ImplicitQuery): ImplicitBoot {
  const { boots, seq, ts, restartJumpMs } = query;
  const current = latest(boots);
  if (current === undefined) return ts <= query.givenUpTs ? GIVEN_UP : OPEN_NEW;
  if (Number.isNaN(ts) || Number.isNaN(current.lastTs)) return withoutTime(current, query);
  for (const boot of boots) if (boot.implicit && boot.firstTs <= ts && ts <= boot.lastTs) return known(boot);
  return ts > current.lastTs ? afterAll(current, seq, ts, restartJumpMs) : between(query);
}

function known(boot: BootRow): ImplicitBoot {
  return { kind: "known", boot };
}

/** The one whose time reaches furthest; without times the last opened. */
function latest(boots: readonly BootRow[]): BootRow | undefined {
  let found: BootRow | undefined;
  for (const boot of boots) if (boot.implicit && (found === undefined || boot.lastTs > found.lastTs)) found = boot;
  return found;
}

function withoutTime(current: BootRow, { seq, receiveTime }: ImplicitQuery): ImplicitBoot {
  const restarted = current.contains(seq) && current.max - seq > REORDER_WINDOW && receiveTime - current.lastReceiveTs > SILENCE_MS;
  return restarted ? OPEN_NEW : known(current);
}

/** Newer than everything: the current boot goes on, or a new one has begun. */
function afterAll(current: BootRow, seq: number, ts: number, restartJumpMs: number): ImplicitBoot {
  if (seq > current.max) return known(current);
  if (ts - current.lastTs > restartJumpMs) return OPEN_NEW;
  return current.contains(seq) && current.max - seq > REORDER_WINDOW ? OPEN_NEW : known(current);
}

/** Older than the current boot and in no boot's range: the tail of the boot before, the head of the one after, or a boot that was never seen. */
function between({ boots, givenUpTs, seq, ts, restartJumpMs }: ImplicitQuery): ImplicitBoot {
  let before: BootRow | undefined;
  let after: BootRow | undefined;
  for (const boot of boots) {
    if (!boot.implicit) continue;
    if (boot.lastTs < ts && (before === undefined || boot.lastTs > before.lastTs)) before = boot;
    if (boot.firstTs > ts && (after === undefined || boot.firstTs < after.firstTs)) after = boot;
  }
  if (before === undefined && ts <= givenUpTs) return GIVEN_UP;
  const continuesBefore = before !== undefined && seq > before.max;
  if (before !== undefined && continuesBefore && (after === undefined || ts - before.lastTs <= after.firstTs - ts)) return known(before);
  if (after === undefined) return OPEN_NEW;
  if (after.contains(seq)) return after.firstTs - ts <= restartJumpMs ? known(after) : OPEN_NEW;
  if (before !== undefined && continuesBefore && seq > after.min) return known(before);
  return known(after);
}
