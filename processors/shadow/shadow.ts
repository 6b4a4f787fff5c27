/**
 * Device shadows: takes updates one after the other, so that versions have no gap, and says what became of each. In one transaction
 * with its input position, like everything a worker does: no update is lost, and none applied twice. Source: docs/shadow.md.
 */
import type { ByteSlice } from "../../state/serdes.ts";
import type { KeyValueStore } from "../../state/store.ts";
import type { Output, Processor, ProcessorContext, ProcessorSpec, RecordHeader, StreamRecord } from "../../topology/processor.ts";
import { mergePatch, sameJson, timesOf, type JsonObject } from "../formats/merge-patch.ts";
import { RAW_HEADERS, deviceKey } from "../formats/names.ts";
import {
  fitsBounds,
  SHADOW_HEADERS,
  type ShadowBounds,
  type ShadowDocument,
  type ShadowOutcome,
  type ShadowReport,
  type ShadowRequest,
  type ShadowResult,
} from "../formats/shadow.ts";
import type { Problem } from "../reject.ts";
import { parseUpdate, type DeviceName, type ShadowUpdate } from "./parse-update.ts";
import { RejectionPace } from "./rejection-pace.ts";
import { NEW_ROW, NO_STATE, shadowStore, type ShadowRow, type ShadowState } from "./shadow-row.ts";

export type ShadowOutputs = { documents: { key: string; value: ShadowDocument | null } };

export function shadow(bounds: ShadowBounds): ProcessorSpec<string | null, ByteSlice | null, ShadowOutputs> {
  return { name: "shadow", outputs: ["documents"], stores: [shadowStore], create: () => new Shadow(bounds) };
}

class Shadow implements Processor<string | null, ByteSlice | null, ShadowOutputs> {
  readonly #bounds: ShadowBounds;
  readonly #tooLargeText: string;
  #context!: ProcessorContext<ShadowOutputs>;
  #documents!: Output<string, ShadowDocument | null>;
  #rows!: KeyValueStore<string, ShadowRow>;
  readonly #pace = new RejectionPace();

  constructor(bounds: ShadowBounds) {
    this.#bounds = bounds;
    this.#tooLargeText = `its reported state would be over ${bounds.maxBytes} bytes or ${bounds.maxNames} names`;
  }

  init(context: ProcessorContext<ShadowOutputs>): void {
    this.#context = context;
    this.#documents = context.output("documents");
    this.#rows = context.store(shadowStore);
  }

  process({ key, value }: StreamRecord<string | null, ByteSlice | null>): void {
    const { source } = this.#context;
    const update = parseUpdate(key, value, (name) => source.headerText(name), this.#bounds);
    if ("reason" in update) {
      this.#context.count("rejected_shadow_updates", update.reason);
      this.#context.deadLetter(update.reason, update.message);
    } else this.#take(update, source.timestamp);
  }

  #take(update: ShadowUpdate, now: number): void {
    switch (update.kind) {
      case "retained":
        return this.#context.count("dropped", "shadow-retained");
      case "get":
        return this.#answer(update.device, now);
      case "request":
        return this.#request(update.device, update.request, now);
      case "report":
        return this.#report(update.device, update.report, now);
      case "rejected":
        return this.#reject(update.device, update.problem, update.told, now);
    }
  }

  /** Where there is no shadow too: the device would wait for ever otherwise. The topic, which is compacted, has none then either. */
  #answer(device: DeviceName, now: number): void {
    const row = this.#rows.get(deviceKey(device.tenant, device.deviceId)) ?? NEW_ROW;
    this.#write(device, row, [header(SHADOW_HEADERS.asked, "true")], now);
  }

  #request(device: DeviceName, { id, op, state = {}, ifVersion }: ShadowRequest, now: number): void {
    const row = this.#rows.get(deviceKey(device.tenant, device.deviceId)) ?? NEW_ROW;
    const known = row.results.find((result) => result.id === id);
    if (known !== undefined) {
      this.#context.count("dropped", "shadow-known");
      return this.#write(device, row, resultHeaders(known), now);
    }
    if (ifVersion !== undefined && ifVersion !== row.version) return this.#end(device, row, row, id, "conflict", now);
    if (op === "delete") return this.#end(device, row, row.exists ? row.changed(undefined, now) : row, id, "applied", now);
    const before = row.state?.desired ?? {};
    // replacing is merging into nothing: null means away there too
    this.#change(device, row, "desired", mergePatch(op === "patch" ? before : {}, state), id, now);
  }

  #report(device: DeviceName, { id, state }: ShadowReport, now: number): void {
    const row = this.#rows.get(deviceKey(device.tenant, device.deviceId)) ?? NEW_ROW;
    const known = id === undefined ? undefined : row.results.find((result) => result.id === id);
    if (known !== undefined) {
      this.#context.count("dropped", "shadow-known");
      // it may not have heard
      if (known.outcome === "too-large") this.#tell(device, row, "too-large", this.#tooLargeText, now);
      return;
    }
    this.#change(device, row, "reported", mergePatch(row.state?.reported ?? {}, state), id, now);
  }

  #change(device: DeviceName, row: ShadowRow, part: "desired" | "reported", after: JsonObject, id: string | undefined, now: number): void {
    if (!fitsBounds(after, this.#bounds)) return this.#tooLarge(device, row, part, id, now);
    const state = row.state ?? NO_STATE;
    if (row.exists && sameJson(state[part], after)) return this.#end(device, row, row, id, "applied", now);
    const times = { ...state.times, [part]: timesOf(after, state[part], state.times[part], now) };
    const changed: ShadowState = { ...state, [part]: after, times };
    this.#end(device, row, row.changed(changed, now), id, "applied", now);
  }

  #tooLarge(device: DeviceName, row: ShadowRow, part: "desired" | "reported", id: string | undefined, now: number): void {
    this.#context.count("rejected_shadow_updates", "too-large");
    if (part === "desired") return this.#end(device, row, row, id, "too-large", now);
    // who asked over HTTP has it still; what a device said would be gone
    this.#context.deadLetter("too-large", this.#tooLargeText);
    this.#end(device, row, row, id, "too-large", now, this.#rejection(device, "too-large", this.#tooLargeText, now));
  }

  #reject(device: DeviceName, { reason, message }: Problem, told: string, now: number): void {
    this.#context.count("rejected_shadow_updates", reason);
    this.#context.deadLetter(reason, message);
    const row = this.#rows.get(deviceKey(device.tenant, device.deviceId)) ?? NEW_ROW;
    this.#tell(device, row, reason, told, now);
  }

  #tell(device: DeviceName, row: ShadowRow, reason: string, told: string, now: number): void {
    const headers = this.#rejection(device, reason, told, now);
    if (headers.length > 0) this.#write(device, row, headers, now);
  }

  /** What the device is told; nothing when it was told of another only just now. */
  #rejection(device: DeviceName, reason: string, told: string, now: number): RecordHeader[] {
    if (!this.#pace.mayTell(deviceKey(device.tenant, device.deviceId), now)) return [];
    const correlation = this.#context.source.headers().find(({ key }) => key === RAW_HEADERS.correlation);
    const headers = [header(SHADOW_HEADERS.rejected, reason), header(SHADOW_HEADERS.rejectedMessage, told)];
    return correlation === undefined ? headers : [...headers, { key: correlation.key, value: Buffer.from(correlation.value ?? []) }];
  }

  /** Written when the shadow has changed, when somebody waits for the outcome, and when there is more to say (`headers`). */
  #end(
    device: DeviceName,
    before: ShadowRow,
    after: ShadowRow,
    id: string | undefined,
    outcome: ShadowOutcome,
    now: number,
    headers: readonly RecordHeader[] = [],
  ): void {
    const row = id === undefined ? after : after.with(id, outcome);
    if (row !== before) this.#rows.put(deviceKey(device.tenant, device.deviceId), row);
    const all = id === undefined ? headers : [...resultHeaders({ id, outcome }), ...headers];
    if (row !== before || all.length > 0) this.#write(device, row, all, now);
  }

  #write({ tenant, deviceId }: DeviceName, row: ShadowRow, headers: readonly RecordHeader[], now: number): void {
    const value = row.document(tenant, deviceId) ?? null;
    const all = value === null ? [...headers, header(SHADOW_HEADERS.version, String(row.version))] : headers;
    this.#documents.forward({ key: deviceKey(tenant, deviceId), value, timestamp: now, headers: all });
  }
}

function resultHeaders({ id, outcome }: Pick<ShadowResult, "id" | "outcome">): RecordHeader[] {
  return [header(SHADOW_HEADERS.request, id), header(SHADOW_HEADERS.outcome, outcome)];
}

function header(key: string, value: string): RecordHeader {
  return { key, value: Buffer.from(value) };
}
