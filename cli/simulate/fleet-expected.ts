/** What a correct pipeline must say after a fleet's messages, derived from how they were made and the order they came in. */
import type { PlannedArrival } from "./fleet-plan.ts";

/** Counts as LedgerView (processors/formats/records.ts) defines them. */
export interface ExpectedLedger {
  received: number;
  duplicates: number;
  outOfOrder: number;
  gapsOpen: number;
  /** 0 while a fleet has no more reboots per device than dedupe keeps boots (FleetOptions.maxReboots). */
  lost: number;
  reboots: number;
}

export interface FleetExpectation {
  /** `tenant|deviceId|bootId|seq` of each distinct message. */
  readonly distinct: ReadonlySet<string>;
  /** By deviceId. */
  readonly ledgers: ReadonlyMap<string, ExpectedLedger>;
}

interface BootTally {
  min: number;
  max: number;
  count: number;
}

export function tally(
  arrivals: Iterable<PlannedArrival>,
  identity: (arrival: PlannedArrival) => { deviceId: string; id: string },
): FleetExpectation {
  const distinct = new Set<string>();
  const ledgers = new Map<string, ExpectedLedger>();
  const boots = new Map<string, Map<number, BootTally>>();
  for (const arrival of arrivals) {
    const { deviceId, id } = identity(arrival);
    let ledger = ledgers.get(deviceId);
    if (ledger === undefined) {
      ledgers.set(deviceId, (ledger = { received: 0, duplicates: 0, outOfOrder: 0, gapsOpen: 0, lost: 0, reboots: 0 }));
      boots.set(deviceId, new Map());
    }
    if (arrival.duplicate) {
      ledger.duplicates++;
      continue;
    }
    distinct.add(id);
    ledger.received++;
    if (count(boots.get(deviceId) ?? new Map<number, BootTally>(), arrival)) ledger.outOfOrder++;
  }
  for (const [deviceId, ledger] of ledgers) {
    const seen = [...(boots.get(deviceId)?.values() ?? [])];
    ledger.reboots = seen.length - 1;
    ledger.gapsOpen = seen.reduce((sum, boot) => sum + (boot.max - boot.min + 1 - boot.count), 0);
  }
  return { distinct, ledgers };
}

/** True when the message is out of order: below the greatest seq of its boot so far. */
function count(boots: Map<number, BootTally>, { message }: PlannedArrival): boolean {
  const boot = boots.get(message.boot);
  if (boot === undefined) {
    boots.set(message.boot, { min: message.seq, max: message.seq, count: 1 });
    return false;
  }
  const late = message.seq < boot.max;
  boot.min = Math.min(boot.min, message.seq);
  boot.max = Math.max(boot.max, message.seq);
  boot.count++;
  return late;
}
