/** Output values as Confluent-framed Avro: schemas registered at start, then everything is synchronous. */
import { readFileSync } from "node:fs";
import type { Serde } from "../state/serde.ts";
import { DeviceStateRow } from "./device-state-row.ts";
import type { TelemetryEvent } from "./event.ts";
import type { AggregateRecord, AlertRecord, DeviceStateRecord, NormalizedRecord } from "./formats/records.ts";
import { FRAME_HEADER_BYTES, isFramed } from "./framing.ts";
import { fromNormalizedRecord, toNormalizedRecord } from "./normalized-record.ts";
import type { OutputSerdes } from "./output-serdes.ts";
import type { RegisteredSchema, Registry } from "./registry.ts";
import type { JobSettings } from "./settings.ts";

/** Newest version of each schema. A change is a new file, which the registry must find backward compatible. */
const SCHEMA_FILES = {
  normalized: "normalized.v1.avsc",
  aggregate: "aggregate.v1.avsc",
  alert: "alert.v1.avsc",
  deviceState: "device-state.v1.avsc",
} as const;

export function schemaText(name: keyof typeof SCHEMA_FILES): string {
  return readFileSync(new URL(`./schemas/${SCHEMA_FILES[name]}`, import.meta.url), "utf8");
}

/** Subjects go by topic, as Confluent's TopicNameStrategy has it. RegistryError when one cannot be registered. */
export async function registerAvroSerdes(registry: Registry, topics: JobSettings["topics"]): Promise<OutputSerdes> {
  const [normalized, aggregate, alert, deviceState] = await Promise.all([
    registry.register(`${topics.normalized}-value`, schemaText("normalized")),
    registry.register(`${topics.aggregates}-value`, schemaText("aggregate")),
    registry.register(`${topics.alerts}-value`, schemaText("alert")),
    registry.register(`${topics.deviceState}-value`, schemaText("deviceState")),
  ]);
  return {
    normalized: framed<TelemetryEvent, AvroNormalized>("normalized-avro", normalized, normalizedToAvro, (value) =>
      fromNormalizedRecord(withoutNulls(value)),
    ),
    aggregate: framed<AggregateRecord, AggregateRecord>("aggregate-avro", aggregate, same, plain),
    alert: framed<AlertRecord, AlertRecord>("alert-avro", alert, same, plain),
    deviceState: framed<DeviceStateRow, AvroDeviceState>("device-state-avro", deviceState, deviceStateToAvro, (value) =>
      DeviceStateRow.of(plain(withoutNulls(value))),
    ),
  };
}

/** Avro has no absent fields: null stands for them. */
type Nullable<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]-?: Exclude<T[P], undefined> | null };
type AvroNormalized = Nullable<NormalizedRecord, "bootId" | "seq" | "deviceTs">;
type AvroDeviceState = Nullable<DeviceStateRecord, "bootId" | "seq">;

function normalizedToAvro(event: TelemetryEvent): AvroNormalized {
  const record = toNormalizedRecord(event);
  return { ...record, bootId: record.bootId ?? null, seq: record.seq ?? null, deviceTs: record.deviceTs ?? null };
}

function deviceStateToAvro(row: DeviceStateRow): AvroDeviceState {
  const record = row.record();
  return { ...record, bootId: record.bootId ?? null, seq: record.seq ?? null };
}

/** A value that was read with our own schema has the record's fields, with null for absent ones. */
function withoutNulls<T>(value: object): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null)) as T;
}

function same<T>(value: T): T {
  return value;
}

/** avsc's instances have classes of their own. */
function plain<T>(value: object): T {
  return structuredClone(value) as T;
}

function framed<T, A extends object>(
  name: string,
  { id, codec }: RegisteredSchema,
  toAvro: (value: T) => A,
  fromAvro: (value: object) => T,
): Serde<T> {
  return {
    name,
    write(value, out) {
      out.u8(0);
      out.u32(id);
      out.bytes(codec.toBuffer(toAvro(value)));
    },
    read(bytes, start, end) {
      if (!isFramed(bytes, start, end) || bytes.readInt32BE(start + 1) !== id) throw new RangeError(`not framed with schema ${id}`);
      return fromAvro(codec.fromBuffer(bytes.subarray(start + FRAME_HEADER_BYTES, end)) as object);
    },
  };
}
