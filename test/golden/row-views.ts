/** What rows of the job's stores say, as JSON: independent of how a version keeps them in memory. */
import type { DeviceRow } from "../../processors/device-row.ts";
import { toLedgerView } from "../../processors/formats/ledger-view.ts";
import { STORES } from "../../processors/formats/records.ts";
import type { OpenWindows } from "../../processors/open-windows.ts";
import { jobSettingsSchema } from "../../processors/settings.ts";
import { buildTelemetryTopology } from "../../processors/telemetry-topology.ts";
import type { WindowRow } from "../../processors/window-row.ts";
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
    { type: "tumbling", sizeMs: 10_000, graceMs: 5_000, time: "device", idleMs: 60_000 },
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
  if (store === STORES.ledger) return shownDevice(row as DeviceRow);
  if (store.startsWith("windows-")) return shownWindow(row as WindowRow);
  return row instanceof Map ? [...(row as Map<unknown, unknown>)] : row;
}

/** Before version 2 a row was a ledger alone. */
function shownDevice({ ledger, state, windows }: DeviceRow): unknown {
  const shownLedger = ledger && toLedgerView(ledger);
  if (state === undefined && windows.length === 0) return shownLedger;
  return { ledger: shownLedger, state: state?.record(), windows: windows.map(shownWindows) };
}

function shownWindows(windows: OpenWindows): object {
  const { sizeMs, dueAt, latest, latestStart: start } = windows;
  const others = Array.from({ length: windows.count }, (_, i) => [windows.start(i), windows.since(i), windows.isStub(i)]);
  return { sizeMs, dueAt, latest: latest && { start, ...shownWindow(latest) }, others };
}

function shownWindow(window: WindowRow): object {
  return { closed: window.closed, lastReceiveTs: window.lastReceiveTs, metrics: window.aggregates() };
}
