/** The ledger as HTTP shows it. */
import type { LedgerView } from "./records.ts";

/** Decoded row of STORES.ledger: what this view reads of processors/ledger.ts's LedgerRow. */
export interface LedgerRowShape extends Omit<LedgerView, "gapsOpen" | "boots"> {
  readonly boots: readonly {
    readonly bootId: string;
    readonly implicit: boolean;
    /** Runs of sequence numbers, and how many numbers are missing between them. */
    readonly runs: number;
    readonly missing: number;
    runFrom(index: number): number;
    runTo(index: number): number;
    /** NaN when the device never sent a ts of its own. */
    readonly firstTs: number;
    readonly lastTs: number;
  }[];
}

/** Boots whose device sends no ts show the row's times. */
export function toLedgerView(row: LedgerRowShape): LedgerView {
  return {
    tenant: row.tenant,
    deviceId: row.deviceId,
    received: row.received,
    duplicates: row.duplicates,
    outOfOrder: row.outOfOrder,
    gapsOpen: row.boots.reduce((sum, boot) => sum + boot.missing, 0),
    lost: row.lost,
    reboots: row.reboots,
    withoutIdentity: row.withoutIdentity,
    late: row.late,
    firstTs: row.firstTs,
    lastTs: row.lastTs,
    boots: row.boots.map((boot) => ({
      bootId: boot.bootId,
      implicit: boot.implicit,
      intervals: Array.from({ length: boot.runs }, (_, index) => [boot.runFrom(index), boot.runTo(index)] as const),
      firstTs: Number.isNaN(boot.firstTs) ? row.firstTs : boot.firstTs,
      lastTs: Number.isNaN(boot.lastTs) ? row.lastTs : boot.lastTs,
    })),
  };
}
