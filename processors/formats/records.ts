/** Output record values as JSON (the default) has them. Source: shared design, section 8. Times are epoch ms. */

/** `clock-ahead`: ts was over validation.maxFutureMs ahead and replaced; `late`: not in at least one window; `no-identity`: neither seq nor message id, not deduplicated. */
export type Flag = "clock-ahead" | "late" | "no-identity" | "no-ts" | "retained";

export interface NormalizedRecord {
  readonly v: 1;
  readonly tenant: string;
  readonly deviceId: string;
  readonly bootId?: string;
  readonly seq?: number;
  readonly ts: number;
  /** The device's own ts, where it was replaced (clock-ahead). */
  readonly deviceTs?: number;
  readonly receivedTs: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly flags: readonly Flag[];
}

export interface MetricAggregate {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** The population's. */
  readonly variance: number;
  /** By event time, ties by arrival. */
  readonly first: number;
  readonly last: number;
}

export interface AggregateRecord {
  readonly v: 1;
  readonly tenant: string;
  readonly deviceId: string;
  readonly window: { readonly type: "tumbling"; readonly start: number; readonly end: number };
  readonly final: true;
  readonly metrics: Readonly<Record<string, MetricAggregate>>;
}

export interface AlertRecord {
  readonly v: 1;
  readonly id: string;
  readonly tenant: string;
  readonly deviceId: string;
  readonly rule: string;
  readonly severity: string;
  readonly state: "firing" | "resolved";
  readonly value: number;
  readonly threshold: number;
  readonly startedTs: number;
  readonly ts: number;
  readonly message: string;
}

/** `iot.device.state` (compacted): the newest of each device, at most one record per device and commit. */
export interface DeviceStateRecord {
  readonly v: 1;
  readonly tenant: string;
  readonly deviceId: string;
  readonly bootId?: string;
  readonly seq?: number;
  readonly ts: number;
  readonly receivedTs: number;
  /** Newest value of each metric by event time. */
  readonly metrics: Readonly<Record<string, { readonly value: number; readonly ts: number }>>;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** Decoded row of STORES.deviceState, as queries give it. */
export interface DeviceStateRowShape {
  record(): DeviceStateRecord;
}

/** What dedupe knows of a device's sequence numbers: `GET …/ledger`. */
export interface LedgerView {
  readonly tenant: string;
  readonly deviceId: string;
  /** Distinct valid events accepted. */
  readonly received: number;
  readonly duplicates: number;
  /** Accepted with a seq below the greatest seen of its boot. */
  readonly outOfOrder: number;
  /** Sequence numbers missing between the smallest and greatest seen, of boots still kept. */
  readonly gapsOpen: number;
  /** Missing numbers of boots (or intervals) that were given up: counted as lost. */
  readonly lost: number;
  readonly reboots: number;
  /** Passed through without a seq or message id. */
  readonly withoutIdentity: number;
  readonly late: number;
  readonly firstTs: number;
  readonly lastTs: number;
  readonly boots: readonly {
    readonly bootId: string;
    readonly implicit: boolean;
    /** Inclusive [from, to] runs of seq seen. */
    readonly intervals: readonly (readonly [number, number])[];
    readonly firstTs: number;
    readonly lastTs: number;
  }[];
}

/** Store names of the IoT job and the decoded row each holds, for queries: see processors/telemetry-topology.ts. */
export const STORES = {
  /** key `tenant|deviceId` -> LedgerRow; toLedgerView() in processors/formats/ledger-view.ts */
  ledger: "ledger",
  /** key `tenant|deviceId` -> DeviceStateRowShape */
  deviceState: "device-state",
  /** key `tenant|deviceId` -> { active: AlertRecord[]; recent: AlertRecord[] } (recent: newest first, bounded) */
  alerts: "alerts",
  /** key `tenant|deviceId|<windowSizeMs>|<slot>` -> AggregateRecord: a ring of the last closed windows per device */
  aggregateHistory: "aggregate-history",
  /** key `tenant|deviceId` -> ShadowRowShape (processors/formats/shadow.ts); only with `shadow.enabled` */
  shadows: "shadows",
} as const;

export interface AlertsRow {
  readonly active: readonly AlertRecord[];
  readonly recent: readonly AlertRecord[];
}
