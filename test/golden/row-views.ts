/** What rows of the job's stores say, as JSON: independent of how a version keeps them in memory. */
import { toLedgerView, type LedgerRowShape } from "../../processors/formats/ledger-view.ts";
import { STORES } from "../../processors/formats/records.ts";
import { jobSettingsSchema } from "../../processors/settings.ts";
import { buildTelemetryTopology } from "../../processors/telemetry-topology.ts";
import type { Topology } from "../../topology/topology.ts";

export interface GoldenRow {
  readonly store: string;
  readonly key: string;
  /** Format byte and value as in the changelog, hexadecimal. */
  readonly value: string;
  readonly shows: unknown;
}

/** With every kind of store. */
export const SETTINGS = {
  windows: [
    { type: "tumbling", sizeMs: 10_000, graceMs: 0, time: "device", idleMs: 60_000 },
    { type: "tumbling", sizeMs: 60_000, graceMs: 0, time: "partition" },
  ],
  rules: [
    { name: "hot", metric: "temperature_c", above: 90, clearBelow: 88 },
    { name: "slow", metric: "temperature_c", above: 80, forMs: 600_000 },
  ],
};

export function goldenTopology(): Topology {
  return buildTelemetryTopology(jobSettingsSchema.parse(SETTINGS));
}

export function view(store: string, row: unknown): unknown {
  return JSON.parse(JSON.stringify(shown(store, row)));
}

function shown(store: string, row: unknown): unknown {
  if (store === STORES.ledger) return toLedgerView(row as LedgerRowShape);
  if (store === STORES.deviceState) return (row as { record(): unknown }).record();
  if (store.startsWith("windows-")) {
    const window = row as { closed: boolean; lastReceiveTs: number; aggregates(): unknown };
    return { closed: window.closed, lastReceiveTs: window.lastReceiveTs, metrics: window.aggregates() };
  }
  return row instanceof Map ? [...(row as Map<unknown, unknown>)] : row;
}
