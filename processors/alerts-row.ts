/** The row of the `alerts` store: a device's alerts for HTTP, and where each rule stands. */
import { ByteReader } from "../state/byte-reader.ts";
import type { ByteWriter } from "../state/byte-writer.ts";
import { checkRowVersion } from "../state/row-format.ts";
import type { Serde } from "../state/serde.ts";
import { serdes } from "../state/serdes.ts";
import { keyValueStore } from "../state/store.ts";
import { STORES, type AlertRecord, type AlertsRow } from "./formats/records.ts";

/** How far one rule has come with one device. */
export interface RuleProgress {
  readonly rule: string;
  /** Event time of the newest reading that was judged. Epoch ms. */
  lastTs: number;
  /** Since when every reading has breached, while the alert does not fire yet; NaN otherwise. Epoch ms. */
  pendingTs: number;
}

export interface AlertsState extends AlertsRow {
  active: AlertRecord[];
  recent: AlertRecord[];
  readonly progress: RuleProgress[];
}

export function newAlertsState(): AlertsState {
  return { active: [], recent: [], progress: [] };
}

const VERSION = 1;
const reader = new ByteReader();

const alertsSerde: Serde<AlertsState> = {
  name: "alerts-row",
  write(row, out) {
    out.u8(VERSION);
    writeAlerts(row.active, out);
    writeAlerts(row.recent, out);
    out.varint(row.progress.length);
    for (const progress of row.progress) {
      out.string(progress.rule);
      out.svarint(progress.lastTs);
      const pending = !Number.isNaN(progress.pendingTs);
      out.u8(pending ? 1 : 0);
      if (pending) out.svarint(progress.pendingTs);
    }
  },
  read(bytes, start, end) {
    reader.reset(bytes, start, end);
    checkRowVersion(reader.u8(), VERSION, "alerts row");
    const row: AlertsState = { active: readAlerts(), recent: readAlerts(), progress: [] };
    for (let count = reader.varint(); count > 0; count--) {
      const rule = reader.string();
      const lastTs = reader.svarint();
      row.progress.push({ rule, lastTs, pendingTs: reader.u8() === 1 ? reader.svarint() : NaN });
    }
    reader.expectEnd();
    return row;
  },
};

function writeAlerts(alerts: readonly AlertRecord[], out: ByteWriter): void {
  out.varint(alerts.length);
  for (const alert of alerts) {
    out.string(alert.id);
    out.string(alert.tenant);
    out.string(alert.deviceId);
    out.string(alert.rule);
    out.string(alert.severity);
    out.u8(alert.state === "firing" ? 1 : 0);
    out.f64(alert.value);
    out.f64(alert.threshold);
    out.svarint(alert.startedTs);
    out.svarint(alert.ts);
    out.string(alert.message);
  }
}

function readAlerts(): AlertRecord[] {
  const alerts: AlertRecord[] = [];
  for (let count = reader.varint(); count > 0; count--)
    alerts.push({
      v: 1,
      id: reader.string(),
      tenant: reader.string(),
      deviceId: reader.string(),
      rule: reader.string(),
      severity: reader.string(),
      state: reader.u8() === 1 ? "firing" : "resolved",
      value: reader.f64(),
      threshold: reader.f64(),
      startedTs: reader.svarint(),
      ts: reader.svarint(),
      message: reader.string(),
    });
  return alerts;
}

export const alertsStore = keyValueStore<string, AlertsState>({ name: STORES.alerts, key: serdes.string, value: alertsSerde });
