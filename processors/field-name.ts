/**
 * Names of payload fields as a tree: a device sends the same fields in the same order again and again, so that the next name is
 * expected, and recognized by its bytes, without a string. What is known of a sequence of fields hangs on its last name.
 */
import { normalizePlan, type NormalizePlan } from "./normalize-plan.ts";
import { MAX_FIELD_NAME, type CompiledProfile } from "./profile.ts";

/** Fields that have a meaning of their own, by their place in Payload.slots. */
export const SLOT = { deviceId: 0, tenant: 1, bootId: 2, seq: 3, ts: 4, messageId: 5, id: 6, uuid: 7 } as const;
export type Slot = (typeof SLOT)[keyof typeof SLOT];
export const SLOT_COUNT = 8;
const NO_SLOT = -1;
const SLOTS = new Map<string, Slot>(Object.entries(SLOT));

/** Names kept before the tree begins anew: bounds memory under hostile field names. An entry takes up to 1 KiB. */
const MAX_NAMES = 4_000;

/** Objects have such names in front of all others, whatever their order in the text. */
const INTEGER_LIKE = /^(0|[1-9]\d*)$/;

export class FieldName {
  readonly name: string;
  /** In quotes, as bytes; empty when it is not recognized by them. */
  readonly quoted: Uint8Array;
  /** -1: none. */
  readonly slot: Slot | -1;
  /** An object of such fields is not a list of them: a name comes twice, or is a number. */
  readonly isIrregular: boolean;
  /** The field that followed last. */
  last: FieldName | undefined = undefined;
  readonly #before: FieldName | undefined;
  readonly #next = new Map<string, FieldName>();
  /** As many as there are profiles; and the one that was asked for last. */
  readonly #plans = new Map<CompiledProfile, NormalizePlan>();
  #profile: CompiledProfile | undefined = undefined;
  #plan: NormalizePlan | undefined = undefined;

  constructor(name: string, before: FieldName | undefined) {
    this.name = name;
    this.quoted = isPlain(name) ? Buffer.from(`"${name}"`, "latin1") : new Uint8Array(0);
    this.slot = SLOTS.get(name) ?? NO_SLOT;
    this.#before = before;
    this.isIrregular = before !== undefined && (before.isIrregular || INTEGER_LIKE.test(name) || before.#holds(name));
  }

  /** The field of this name after this one. */
  next(name: string): FieldName {
    const { last } = this;
    if (last !== undefined && last.name === name) return last;
    let next = this.#next.get(name);
    if (next === undefined) {
      next = new FieldName(name, this);
      if (name.length > MAX_FIELD_NAME) return next;
      if (++names > MAX_NAMES) startAnew();
      this.#next.set(name, next);
    }
    this.last = next;
    return next;
  }

  /** What normalize does with an object whose last field this is, for devices of that profile. */
  planFor(profile: CompiledProfile): NormalizePlan {
    if (this.#plan !== undefined && this.#profile === profile) return this.#plan;
    let plan = this.#plans.get(profile);
    if (plan === undefined) this.#plans.set(profile, (plan = normalizePlan(this.path(), profile)));
    this.#plan = plan;
    this.#profile = profile;
    return plan;
  }

  forget(): void {
    this.#next.clear();
    this.last = undefined;
  }

  /** The names from the first field to this one. */
  path(): string[] {
    return this.#before === undefined ? [] : [...this.#before.path(), this.name];
  }

  #holds(name: string): boolean {
    return this.#before !== undefined && (this.name === name || this.#before.#holds(name));
  }
}

function isPlain(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code < 0x20 || code >= 0x80 || code === 0x22 || code === 0x5c) return false;
  }
  return name.length <= MAX_FIELD_NAME;
}

let names = 0;

/** Before the first field. */
export const NO_FIELD = new FieldName("", undefined);

/** Names in use stay valid; equal ones made later are other objects, with plans of their own. */
function startAnew(): void {
  names = 0;
  NO_FIELD.forget();
}
