/** The row of the store `shadows`: a device's desired and reported state, and the requests that it knows again. */
import { ByteReader } from "../../state/byte-reader.ts";
import { checkRowVersion } from "../../state/row-format.ts";
import type { Serde } from "../../state/serde.ts";
import { serdes } from "../../state/serdes.ts";
import { keyValueStore } from "../../state/store.ts";
import { deltaOf, type JsonObject, type Times } from "../formats/merge-patch.ts";
import { STORES } from "../formats/records.ts";
import { MAX_RESULTS, type ShadowDocument, type ShadowOutcome, type ShadowResult, type ShadowRowShape } from "../formats/shadow.ts";

export interface ShadowState {
  readonly desired: JsonObject;
  readonly reported: JsonObject;
  readonly times: { readonly desired: Times; readonly reported: Times };
}

export const NO_STATE: ShadowState = { desired: {}, reported: {}, times: { desired: {}, reported: {} } };

/** Never changed: each change makes another. */
export class ShadowRow implements ShadowRowShape {
  readonly version: number;
  /** Undefined: deleted, or never made. */
  readonly state: ShadowState | undefined;
  /** Of the last change, epoch ms. */
  readonly ts: number;
  readonly results: readonly ShadowResult[];

  constructor(version: number, state: ShadowState | undefined, ts: number, results: readonly ShadowResult[]) {
    this.version = version;
    this.state = state;
    this.ts = ts;
    this.results = results;
  }

  get exists(): boolean {
    return this.state !== undefined;
  }

  /** The next version, with another state. */
  changed(state: ShadowState | undefined, ts: number): ShadowRow {
    return new ShadowRow(this.version + 1, state, ts, this.results);
  }

  with(id: string, outcome: ShadowOutcome): ShadowRow {
    const results = [...this.results.slice(1 - MAX_RESULTS), { id, outcome, version: this.version }];
    return new ShadowRow(this.version, this.state, this.ts, results);
  }

  document(tenant: string, deviceId: string): ShadowDocument | undefined {
    if (this.state === undefined) return undefined;
    const { desired, reported, times } = this.state;
    const delta = deltaOf(desired, reported);
    const { version, ts } = this;
    return { v: 1, tenant, deviceId, version, desired, reported, ...(delta === undefined ? {} : { delta }), metadata: times, ts };
  }
}

export const NEW_ROW = new ShadowRow(0, undefined, 0, []);

const VERSION = 1;
const OUTCOMES: readonly ShadowOutcome[] = ["applied", "conflict", "too-large"];
const reader = new ByteReader();

/** The state itself is JSON, whatever is around it. */
const shadowSerde: Serde<ShadowRow> = {
  name: "shadow-row",
  write({ version, state, ts, results }, out) {
    out.u8(VERSION);
    out.varint(version);
    out.svarint(ts);
    out.varint(results.length);
    for (const result of results) {
      out.string(result.id);
      out.u8(OUTCOMES.indexOf(result.outcome));
      out.varint(result.version);
    }
    out.string(state === undefined ? "" : JSON.stringify(state));
  },
  read(bytes, start, end) {
    reader.reset(bytes, start, end);
    checkRowVersion(reader.u8(), VERSION, "shadow row");
    const version = reader.varint();
    const ts = reader.svarint();
    const results = Array.from({ length: reader.varint() }, () => ({
      id: reader.string(),
      outcome: OUTCOMES[reader.u8()],
      version: reader.varint(),
    }));
    const state = reader.string();
    reader.expectEnd();
    return new ShadowRow(version, state === "" ? undefined : (JSON.parse(state) as ShadowState), ts, results);
  },
};

export const shadowStore = keyValueStore<string, ShadowRow>({ name: STORES.shadows, key: serdes.string, value: shadowSerde });
