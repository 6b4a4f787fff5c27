/** One cell of the matrix: a load, a fault in the middle of it, and the wait until the bridge has carried everything it ever will. */
import { waitFor } from "../../support/wait-for.ts";
import { FAULTS, type Fault, type FaultName, type Scale } from "./faults.ts";
import type { LoadPlan } from "./load.ts";
import type { Rig } from "./rig.ts";

/** Nothing new for so long: what is missing is lost. The long form has faults after which a bridge waits for longest. ms */
const QUIET_MS: Readonly<Record<Scale, number>> = { short: 4_000, long: 30_000 };
const DRAIN_DEADLINE_MS = 600_000;

/** With several loads the fault goes by the first. Returns how many seconds it took. */
export async function runCell(rig: Rig, name: FaultName, plans: readonly LoadPlan[], scale: Scale): Promise<number> {
  const startedAt = performance.now();
  const fault: Fault = FAULTS[name];
  const loads = plans.map((plan) => rig.load(plan));
  for (const share of fault.at) {
    await loads[0].reached(share);
    await fault.strike(rig, loads[0], scale);
  }
  await Promise.all(loads.map((load) => load.reached(1)));
  await drained(rig, plans, QUIET_MS[scale]);
  for (const load of loads) load.close();
  return (performance.now() - startedAt) / 1000;
}

async function drained(rig: Rig, plans: readonly LoadPlan[], quietMs: number): Promise<void> {
  let records = -1;
  let since = performance.now();
  await waitFor(
    "everything has come through, or no more does",
    () => {
      const sum = plans.reduce((total, { name }) => total + rig.raw.of(name).records + rig.shed.of(name).records, 0);
      if (sum !== records) {
        records = sum;
        since = performance.now();
      }
      const complete = plans.every(
        ({ name, devices, perDevice }) => rig.raw.of(name).distinct + rig.shed.of(name).distinct >= devices * perDevice,
      );
      return complete || performance.now() - since > quietMs;
    },
    { deadlineMs: DRAIN_DEADLINE_MS, intervalMs: 10 },
  );
}
