/** Output values as JSON (shared design, section 8). */
import { TextPiece, type ByteWriter } from "../state/byte-writer.ts";
import type { Serde } from "../state/serde.ts";
import { serdes } from "../state/serdes.ts";
import { DeviceStateRow } from "./device-state-row.ts";
import { flagsOf, type TelemetryEvent } from "./event.ts";
import type { AggregateRecord, AlertRecord, DeviceStateRecord, NormalizedRecord } from "./formats/records.ts";
import { fromNormalizedRecord } from "./normalized-record.ts";
import type { OutputSerdes } from "./output-serdes.ts";

/** `},"flags":[...]}` of each combination of flags; and with no attributes before it. */
const FLAG_TAILS: readonly string[] = Array.from({ length: 32 }, (_, bits) => `},"flags":${JSON.stringify(flagsOf(bits))}}`);
const BARE_TAILS: readonly TextPiece[] = FLAG_TAILS.map((tail) => new TextPiece(`},"attributes":{${tail}`));
const SEQ = new TextPiece(',"seq":');
const TS = new TextPiece(',"ts":');
const DEVICE_TS = new TextPiece(',"deviceTs":');
const RECEIVED_TS = new TextPiece(',"receivedTs":');
const METRICS = new TextPiece(',"metrics":{');
const METRIC_VALUE = new TextPiece(':{"value":');

/** Exactly JSON.stringify of the NormalizedRecord, as bytes and without a string: the most frequent output there is. */
function writeNormalized(event: TelemetryEvent, out: ByteWriter): void {
  const { device, metrics, values, attributeNames } = event;
  if (device === undefined) throw new Error("an event is written after validate");
  out.bytes(device.headOf(event.bootId));
  if (event.seq >= 0) {
    out.piece(SEQ);
    out.decimal(event.seq);
  }
  out.piece(TS);
  out.decimal(event.ts);
  if (event.deviceTs !== event.ts && event.deviceTs === event.deviceTs) {
    out.piece(DEVICE_TS);
    out.decimal(event.deviceTs);
  }
  out.piece(RECEIVED_TS);
  out.decimal(event.receivedTs);
  if (values.length === 0) out.piece(METRICS);
  const { jsonKeys } = metrics;
  for (let i = 0; i < values.length; i++) {
    out.piece(jsonKeys[i]);
    out.decimal(values[i]);
  }
  if (attributeNames.length === 0) {
    out.piece(BARE_TAILS[event.flags]);
    return;
  }
  out.utf8('},"attributes":{');
  for (let i = 0; i < attributeNames.length; i++) {
    if (i > 0) out.u8(COMMA);
    out.utf8(`${JSON.stringify(attributeNames[i])}:${JSON.stringify(event.attributeValues[i])}`);
  }
  out.utf8(FLAG_TAILS[event.flags]);
}
const COMMA = 0x2c;
const CLOSING_BRACE = 0x7d;

/** JSON.stringify costs a call into native code; most boot ids need nothing but quotes. */
function quote(text: string): string {
  if (text.length > 24) return JSON.stringify(text);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return JSON.stringify(text);
  }
  return '"' + text + '"';
}

const normalized: Serde<TelemetryEvent> = {
  name: "normalized-json",
  write: writeNormalized,
  read: (bytes, start, end) => fromNormalizedRecord(JSON.parse(bytes.toString("utf8", start, end)) as NormalizedRecord),
};

/** Exactly JSON.stringify of the row's record. */
function writeDeviceState(row: DeviceStateRow, out: ByteWriter): void {
  const { names } = row;
  out.utf8('{"v":1,"tenant":');
  out.utf8(quote(row.tenant));
  out.utf8(',"deviceId":');
  out.utf8(quote(row.deviceId));
  if (row.bootId !== undefined) {
    out.utf8(',"bootId":');
    out.utf8(quote(row.bootId));
  }
  if (row.seq !== undefined) {
    out.piece(SEQ);
    out.decimal(row.seq);
  }
  out.piece(TS);
  out.decimal(row.ts);
  out.piece(RECEIVED_TS);
  out.decimal(row.receivedTs);
  out.piece(METRICS);
  for (let i = 0; i < names.length; i++) {
    if (i > 0) out.u8(COMMA);
    out.utf8(quote(names[i]));
    out.piece(METRIC_VALUE);
    out.decimal(row.value(i));
    out.piece(TS);
    out.decimal(row.valueTs(i));
    out.u8(CLOSING_BRACE);
  }
  out.utf8('},"attributes":');
  out.utf8(row.attributes === undefined ? "{}" : JSON.stringify(row.attributes));
  out.u8(CLOSING_BRACE);
}

const deviceState: Serde<DeviceStateRow> = {
  name: "device-state-json",
  write: writeDeviceState,
  read: (bytes, start, end) => DeviceStateRow.of(JSON.parse(bytes.toString("utf8", start, end)) as DeviceStateRecord),
};

export const jsonSerdes: OutputSerdes = {
  normalized,
  aggregate: serdes.json<AggregateRecord>(),
  alert: serdes.json<AlertRecord>(),
  deviceState,
};
