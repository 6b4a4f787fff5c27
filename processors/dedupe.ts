/** Stops duplicates and keeps the ledger. Source: shared design, section 6; the heuristics in words: processors/README.md. */
import { hash } from "node:crypto";
import type { RowHandle } from "../state/store.ts";
import type { Output, Processor, ProcessorContext, ProcessorSpec, StreamRecord } from "../topology/processor.ts";
import { DeviceRow, deviceRowStore, type DeviceRows } from "./device-row.ts";
import { FLAG, type TelemetryEvent } from "./event.ts";
import { IdleDevices } from "./idle-devices.ts";
import { findImplicitBoot } from "./implicit-boot.ts";
import { BootRow, LedgerRow } from "./ledger.ts";
import { RecentIds, recentIdsStore, type IdVerdict } from "./recent-ids.ts";
import type { DedupeSettings } from "./settings.ts";

/** Ids of given-up explicit boots that are remembered for a device, so that their stragglers are not taken for a new boot. */
const MAX_GIVEN_UP_BOOTS = 16;

/** Idle devices dropped at one record: keeps a single record's work short. */
const MAX_EXPIRED_PER_RECORD = 16;

export const dedupeIdsStore = recentIdsStore("dedupe-ids");

/** `unverified`: nothing tells this event from another; it passes, flagged and counted. */
type Verdict = IdVerdict | "unverified";

export type DedupeOutputs = { unique: { key: string; value: TelemetryEvent } };

export function dedupe(settings: DedupeSettings): ProcessorSpec<string, TelemetryEvent, DedupeOutputs> {
  return { name: "dedupe", outputs: ["unique"], stores: [deviceRowStore, dedupeIdsStore], create: () => new Dedupe(settings) };
}

class Dedupe implements Processor<string, TelemetryEvent, DedupeOutputs> {
  readonly #settings: DedupeSettings;
  #context!: ProcessorContext<DedupeOutputs>;
  #unique!: Output<string, TelemetryEvent>;
  #devices!: DeviceRows;
  #idle!: IdleDevices;
  #ids!: RecentIds;
  /** Of the record in hand. */
  #row!: RowHandle<DeviceRow>;
  /** The boot that the record in hand has added to: another copy in the same batch is a duplicate, not a re-read. */
  #freshBoot: BootRow | undefined;
  #freshOffset = -1;

  constructor(settings: DedupeSettings) {
    this.#settings = settings;
  }

  init(context: ProcessorContext<DedupeOutputs>): void {
    this.#context = context;
    this.#unique = context.output("unique");
    this.#devices = context.store(deviceRowStore);
    this.#idle = new IdleDevices(this.#devices, this.#settings.idleMs, (work) => context.inBackground(work));
    this.#ids = new RecentIds(context.store(dedupeIdsStore), this.#settings.retentionMs);
  }

  async open(): Promise<void> {
    this.#context.inBackground(() => this.#ids.index());
  }

  readAhead(sourceKey: unknown): void {
    if (typeof sourceKey === "string") this.#devices.prefetch(sourceKey);
  }

  process(record: StreamRecord<string, TelemetryEvent>): void {
    const event = record.value;
    const { key } = record;
    const now = this.#context.receiveTime();
    this.#expire(now);
    this.#context.observeEventTime(event.ts);
    const device = this.#deviceOf(key, event);
    const row = this.#touch(device, event, now);
    event.deviceTime = row.lastTs;
    const verdict = event.seq >= 0 ? this.#bySeq(row, event, now) : this.#byId(key, event, now);
    if (verdict === "duplicate") {
      row.duplicates++;
      this.#context.count("duplicates", event.seq >= 0 ? "seq" : "id");
    } else if (verdict !== "reread") row.received++;
    if (verdict === "unverified") {
      row.withoutIdentity++;
      event.flags |= FLAG.noIdentity;
    }
    this.#devices.set(this.#row, device);
    if (verdict !== "duplicate") this.#unique.forward(record);
  }

  #deviceOf(key: string, { device }: TelemetryEvent): DeviceRow {
    if (device === undefined) throw new Error("dedupe comes after validate");
    this.#row = device.row = this.#devices.at(key, device.row);
    return this.#row.value ?? new DeviceRow(device.tenant, device.deviceId);
  }

  /** The device's ledger with its clocks moved on. */
  #touch(device: DeviceRow, { ts }: TelemetryEvent, now: number): LedgerRow {
    let row = device.ledger;
    if (row === undefined || now - row.lastReceiveTs > this.#settings.idleMs) {
      if (row !== undefined) {
        this.#context.count("ledger", "expired");
        device.expire();
      }
      row = device.ledger = new LedgerRow(device.tenant, device.deviceId, ts);
    }
    row.lastReceiveTs = now;
    if (ts > row.lastTs) row.lastTs = ts;
    else if (ts < row.firstTs) row.firstTs = ts;
    return row;
  }

  #bySeq(row: LedgerRow, event: TelemetryEvent, now: number): Verdict {
    const ownTs = (event.flags & (FLAG.noTs | FLAG.clockAhead)) === 0 ? event.ts : NaN;
    const boot = event.bootId === undefined ? this.#implicit(row, event.seq, ownTs, now) : this.#explicit(row, event.bootId);
    if (boot === undefined) {
      this.#context.count("ledger", "boot-given-up");
      return "unverified";
    }
    boot.lastReceiveTs = now;
    const { offset } = this.#context.source;
    const max = boot.max;
    if (!boot.add(event.seq)) {
      const isFresh = this.#freshBoot === boot && this.#freshOffset === offset;
      return offset > boot.lastOffset || isFresh ? "duplicate" : "reread";
    }
    if (offset > boot.lastOffset) boot.lastOffset = offset;
    this.#freshBoot = boot;
    this.#freshOffset = offset;
    if (event.seq < max) row.outOfOrder++;
    if (!(ownTs <= boot.lastTs)) boot.lastTs = Number.isNaN(ownTs) ? boot.lastTs : ownTs;
    if (!(ownTs >= boot.firstTs)) boot.firstTs = Number.isNaN(ownTs) ? boot.firstTs : ownTs;
    if (boot.runs > this.#settings.intervalsPerBoot) this.#lose(row, boot.closeLowestGap(), "intervals");
    return "new";
  }

  #explicit(row: LedgerRow, bootId: string): BootRow | undefined {
    const { current } = row;
    if (current !== undefined && current.bootId === bootId) return current;
    const known = row.boots.find((boot) => boot.bootId === bootId && !boot.implicit);
    if (known === undefined && row.givenUpBoots.includes(bootId)) return undefined;
    return (row.current = known ?? this.#open(row, bootId, false));
  }

  #implicit(row: LedgerRow, seq: number, ts: number, receiveTime: number): BootRow | undefined {
    const { boots, givenUpTs } = row;
    const found = findImplicitBoot({ boots, givenUpTs, seq, ts, receiveTime, restartJumpMs: this.#settings.restartJumpMs });
    if (found.kind === "known") return found.boot;
    return found.kind === "new" ? this.#open(row, String(row.implicitBoots++), true) : undefined;
  }

  #open(row: LedgerRow, bootId: string, implicit: boolean): BootRow {
    if (row.boots.length > 0) row.reboots++;
    if (row.boots.length >= this.#settings.boots) this.#giveUp(row);
    const boot = new BootRow(bootId, implicit);
    row.boots = [boot, ...row.boots]; // an array without room to spare
    return boot;
  }

  /** The boot that was silent longest goes; what it still missed is lost. */
  #giveUp(row: LedgerRow): void {
    const { boots } = row;
    let index = boots.length - 1;
    for (let i = index - 1; i >= 0; i--) if (boots[i].lastReceiveTs < boots[index].lastReceiveTs) index = i;
    const [boot] = boots.splice(index, 1);
    row.current = undefined;
    this.#lose(row, boot.missing, "boots");
    if (boot.implicit) {
      if (!(boot.lastTs <= row.givenUpTs) && !Number.isNaN(boot.lastTs)) row.givenUpTs = boot.lastTs;
      return;
    }
    row.givenUpBoots.push(boot.bootId);
    if (row.givenUpBoots.length > MAX_GIVEN_UP_BOOTS) row.givenUpBoots.shift();
  }

  #lose(row: LedgerRow, count: number, bound: string): void {
    if (count === 0) return;
    row.lost += count;
    this.#context.count("lost", bound, count);
  }

  /** Without a seq: the message's own id, else its bytes and ts; without a ts two equal readings are two readings. */
  #byId(key: string, event: TelemetryEvent, now: number): Verdict {
    const id = event.messageId ?? this.#contentId(event);
    if (id === undefined) return "unverified";
    const verdict = this.#ids.check(key, id, now, this.#context.source.offset);
    const evicted = this.#ids.takeEvicted();
    if (evicted > 0) this.#context.count("ledger", "id-evicted", evicted);
    return verdict;
  }

  #contentId(event: TelemetryEvent): string | undefined {
    if (Number.isNaN(event.deviceTs)) return undefined;
    const content = event.batch === undefined ? this.#context.source.valueBytes() : JSON.stringify(event.payload.object);
    return content === null ? undefined : `#${hash("sha256", content, "base64url").slice(0, CONTENT_HASH_CHARS)}`;
  }

  #expire(now: number): void {
    for (let checked = 0; checked < MAX_EXPIRED_PER_RECORD; checked++) {
      const key = this.#idle.take(now);
      if (key === undefined) return;
      const device = this.#devices.get(key);
      if (device?.ledger === undefined || now - device.ledger.lastReceiveTs <= this.#settings.idleMs) continue;
      device.expire();
      if (device.isEmpty) this.#devices.delete(key);
      else this.#devices.put(key, device);
      this.#context.count("ledger", "expired");
    }
  }
}

/** 132 bits: no two different payloads of a device meet. */
const CONTENT_HASH_CHARS = 22;
