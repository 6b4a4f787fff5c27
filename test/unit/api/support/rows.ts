/** Rows of the IoT job's stores as the API reads them. */
import type { LedgerRowShape } from "../../../../processors/formats/ledger-view.ts";
import type { AggregateRecord, AlertRecord, DeviceStateRecord, DeviceStateRowShape } from "../../../../processors/formats/records.ts";

export function deviceState(deviceId: string, override: Partial<DeviceStateRecord> = {}): DeviceStateRowShape {
  const record: DeviceStateRecord = {
    v: 1,
    tenant: "demo",
    deviceId,
    ts: 1000,
    receivedTs: 1040,
    metrics: { temperature_c: { value: 21.5, ts: 1000 } },
    attributes: {},
    ...override,
  };
  return { record: () => record };
}

export function aggregate(deviceId: string, start: number, sizeMs = 10_000): AggregateRecord {
  const metric = { count: 2, sum: 3, min: 1, max: 2, mean: 1.5, variance: 0.25, first: 1, last: 2 };
  return {
    v: 1,
    tenant: "demo",
    deviceId,
    window: { type: "tumbling", start, end: start + sizeMs },
    final: true,
    metrics: { temperature_c: metric },
  };
}

export function alert(deviceId: string, state: "firing" | "resolved" = "firing"): AlertRecord {
  const message = `temperature_c is ${state === "firing" ? "above" : "below"} 90`;
  return {
    v: 1,
    id: `hot|${deviceId}|1000`,
    tenant: "demo",
    deviceId,
    rule: "hot",
    severity: "warning",
    state,
    value: 95,
    threshold: 90,
    startedTs: 1000,
    ts: 1000,
    message,
  };
}

/** Three events of one boot: 1, 2 and 5; or a longer life up to `seq`. */
export function ledgerRow(deviceId: string, life?: { readonly seq: number; readonly atMs: number }): LedgerRowShape {
  const none = { tenant: "demo", deviceId, duplicates: 1, outOfOrder: 0, lost: 0, reboots: 0, withoutIdentity: 0, late: 0 };
  if (life === undefined) {
    const times = { firstTs: 1000, lastTs: 5000 };
    return { ...none, ...times, received: 3, boots: [{ bootId: "b1", implicit: false, ...times, ...runs([1, 2], [5, 5]) }] };
  }
  const { seq, atMs } = life;
  const times = { firstTs: atMs - 3_600_000, lastTs: atMs };
  return {
    ...none,
    ...times,
    received: 18_000 + seq,
    duplicates: 1904,
    outOfOrder: 871,
    lost: 4,
    reboots: 1,
    late: 12,
    boots: [
      { bootId: "b7", implicit: false, ...times, ...runs([0, 311], [314, 640], [652, 655], [661, seq]) },
      { bootId: "b6", implicit: false, firstTs: 0, lastTs: atMs - 3_600_000, ...runs([0, 17_400]) },
    ],
  };
}

function runs(...list: (readonly [number, number])[]): Pick<LedgerRowShape["boots"][number], "runs" | "missing" | "runFrom" | "runTo"> {
  const missing = list.slice(1).reduce((sum, [from], index) => sum + from - list[index][1] - 1, 0);
  return { runs: list.length, missing, runFrom: (index) => list[index][0], runTo: (index) => list[index][1] };
}
