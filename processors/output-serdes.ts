/** How the job's outputs become bytes: JSON, or Avro with a schema registry. */
import type { Serde } from "../state/serde.ts";
import type { TelemetryEvent } from "./event.ts";
import type { DeviceStateRow } from "./device-state-row.ts";
import type { AggregateRecord, AlertRecord } from "./formats/records.ts";

export interface OutputSerdes {
  readonly normalized: Serde<TelemetryEvent>;
  readonly aggregate: Serde<AggregateRecord>;
  readonly alert: Serde<AlertRecord>;
  readonly deviceState: Serde<DeviceStateRow>;
}
