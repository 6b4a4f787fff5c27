/** What dedupe knows of a device: a part of its row (device-row.ts). Source: shared design, section 6. */
import type { ByteReader } from "../state/byte-reader.ts";
import type { ByteWriter } from "../state/byte-writer.ts";
import { IntervalSet } from "./interval-set.ts";

/** Places in the arrays of both rows: numbers in one array, where fields would be an object in memory each. */
const FIRST_TS = 0;
const LAST_TS = 1;
const LAST_RECEIVE_TS = 2;
const LAST_OFFSET = 3;
const GIVEN_UP_TS = 3;

/** Sequence numbers of one boot of a device. Its event times are those of accepted events whose ts the device itself sent. */
export class BootRow extends IntervalSet {
  readonly bootId: string;
  /** Opened by the heuristic, the device sent no bootId; `bootId` is then a number of ours. */
  readonly implicit: boolean;

  constructor(bootId: string, implicit: boolean) {
    super([NaN, NaN, 0, -1]);
    this.bootId = bootId;
    this.implicit = implicit;
  }

  /** Least event time; NaN before the first. Epoch ms. */
  get firstTs(): number {
    return this.numbers[FIRST_TS];
  }

  set firstTs(ts: number) {
    this.numbers[FIRST_TS] = ts;
  }

  /** Greatest event time; NaN before the first. Epoch ms. */
  get lastTs(): number {
    return this.numbers[LAST_TS];
  }

  set lastTs(ts: number) {
    this.numbers[LAST_TS] = ts;
  }

  /** Receive time of the partition at the boot's last event, duplicates included. Epoch ms. */
  get lastReceiveTs(): number {
    return this.numbers[LAST_RECEIVE_TS];
  }

  set lastReceiveTs(ts: number) {
    this.numbers[LAST_RECEIVE_TS] = ts;
  }

  /** Greatest source offset that changed the set; -1 before the first. */
  get lastOffset(): number {
    return this.numbers[LAST_OFFSET];
  }

  set lastOffset(offset: number) {
    this.numbers[LAST_OFFSET] = offset;
  }
}

/** Counters are since the row began. Its event times are those of valid events, duplicates included: `lastTs` is the device's stream time. */
export class LedgerRow {
  readonly #numbers: number[] = [NaN, NaN, 0, NaN];
  /** The explicit boot of the last event: usually the next one's too. Not stored. */
  current: BootRow | undefined = undefined;
  received = 0;
  duplicates = 0;
  outOfOrder = 0;
  /** Last opened first. */
  boots: BootRow[] = [];
  readonly tenant: string;
  readonly deviceId: string;
  lost = 0;
  reboots = 0;
  withoutIdentity = 0;
  late = 0;
  /** Implicit boots opened so far: names the next. */
  implicitBoots = 0;
  /** Explicit boots that were given up, oldest first; bounded. */
  givenUpBoots: string[] = [];

  constructor(tenant: string, deviceId: string, ts: number) {
    this.tenant = tenant;
    this.deviceId = deviceId;
    this.firstTs = ts;
    this.lastTs = ts;
  }

  /** Least event time. Epoch ms. */
  get firstTs(): number {
    return this.#numbers[FIRST_TS];
  }

  set firstTs(ts: number) {
    this.#numbers[FIRST_TS] = ts;
  }

  /** Greatest event time. Epoch ms. */
  get lastTs(): number {
    return this.#numbers[LAST_TS];
  }

  set lastTs(ts: number) {
    this.#numbers[LAST_TS] = ts;
  }

  /** Receive time of the partition at the last event, duplicates included. Epoch ms. */
  get lastReceiveTs(): number {
    return this.#numbers[LAST_RECEIVE_TS];
  }

  set lastReceiveTs(ts: number) {
    this.#numbers[LAST_RECEIVE_TS] = ts;
  }

  /** Greatest lastTs of implicit boots that were given up; NaN for none. */
  get givenUpTs(): number {
    return this.#numbers[GIVEN_UP_TS];
  }

  set givenUpTs(ts: number) {
    this.#numbers[GIVEN_UP_TS] = ts;
  }
}

const BOOT_IMPLICIT = 1;
const BOOT_TIMED = 2;

/** Without tenant and device. */
export function writeLedger(row: LedgerRow, out: ByteWriter): void {
  out.varint(row.received);
  out.varint(row.duplicates);
  out.varint(row.outOfOrder);
  out.varint(row.lost);
  out.varint(row.reboots);
  out.varint(row.withoutIdentity);
  out.varint(row.late);
  out.time(row.firstTs);
  out.time(row.lastTs);
  out.time(row.lastReceiveTs);
  out.varint(row.implicitBoots);
  out.u8(Number.isNaN(row.givenUpTs) ? 0 : 1);
  if (!Number.isNaN(row.givenUpTs)) out.time(row.givenUpTs);
  out.varint(row.givenUpBoots.length);
  for (const bootId of row.givenUpBoots) out.string(bootId);
  out.varint(row.boots.length);
  for (const boot of row.boots) writeBoot(boot, out);
}

export function readLedger(reader: ByteReader, tenant: string, deviceId: string): LedgerRow {
  const row = new LedgerRow(tenant, deviceId, 0);
  row.received = reader.varint();
  row.duplicates = reader.varint();
  row.outOfOrder = reader.varint();
  row.lost = reader.varint();
  row.reboots = reader.varint();
  row.withoutIdentity = reader.varint();
  row.late = reader.varint();
  row.firstTs = reader.time();
  row.lastTs = reader.time();
  row.lastReceiveTs = reader.time();
  row.implicitBoots = reader.varint();
  if (reader.u8() === 1) row.givenUpTs = reader.time();
  for (let count = reader.varint(); count > 0; count--) row.givenUpBoots.push(reader.string());
  for (let count = reader.varint(); count > 0; count--) row.boots.push(readBoot(reader));
  return row;
}

function writeBoot(boot: BootRow, out: ByteWriter): void {
  const timed = !Number.isNaN(boot.lastTs);
  out.u8((boot.implicit ? BOOT_IMPLICIT : 0) | (timed ? BOOT_TIMED : 0));
  out.string(boot.bootId);
  if (timed) {
    out.time(boot.firstTs);
    out.time(boot.lastTs);
  }
  out.time(boot.lastReceiveTs);
  out.svarint(boot.lastOffset);
  out.varint(boot.runs);
  let before = 0;
  for (let i = 0; i < boot.runs; i++) {
    const from = boot.runFrom(i);
    const to = boot.runTo(i);
    out.varint(from - before);
    out.varint(to - from);
    before = to;
  }
}

function readBoot(reader: ByteReader): BootRow {
  const flags = reader.u8();
  const boot = new BootRow(reader.string(), (flags & BOOT_IMPLICIT) !== 0);
  if ((flags & BOOT_TIMED) !== 0) {
    boot.firstTs = reader.time();
    boot.lastTs = reader.time();
  }
  boot.lastReceiveTs = reader.time();
  boot.lastOffset = reader.svarint();
  let before = 0;
  for (let runs = reader.varint(); runs > 0; runs--) {
    const from = before + reader.varint();
    const to = from + reader.varint();
    boot.appendRun(from, to);
    before = to;
  }
  return boot;
}
