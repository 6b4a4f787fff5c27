/** Device profiles: what becomes of each payload field, looked up by name on the hot path. */
import { matchesDevice, type ProfileSettings } from "./settings.ts";

/** Fields that say who, when and which, never metrics or attributes. */
const RESERVED_FIELDS = ["deviceId", "tenant", "bootId", "seq", "ts", "messageId"] as const;

/** Unknown field names remembered per profile; above, their plan is made anew each time. */
const MAX_CACHED_FIELDS = 10_000;

/** Characters of a field path. */
export const MAX_FIELD_NAME = 128;

export type Conversion = "none" | "linear" | "fahrenheit" | "kelvin";

/** `auto`: numbers are a metric, strings and booleans an attribute, of this name. `refused`: no name that may be used. */
export type FieldKind = "auto" | "metric" | "attribute" | "ignore" | "reserved" | "refused";

export interface FieldPlan {
  readonly kind: FieldKind;
  /** Of the metric or attribute. */
  readonly name: string;
  readonly conversion: Conversion;
  readonly scale: number;
  readonly offset: number;
}

function plan(kind: FieldKind, name: string, conversion: Conversion = "none", scale = 1, offset = 0): FieldPlan {
  return { kind, name, conversion, scale, offset };
}

/** Built in: names that say their unit, and the two that everybody sends without one. */
const DEFAULT_FIELDS = new Map<string, FieldPlan>([
  ...RESERVED_FIELDS.map((field): [string, FieldPlan] => [field, plan("reserved", field)]),
  ...["temperature", "temperatureC", "temperature_c", "tempC", "temp_c"].map((field): [string, FieldPlan] => [
    field,
    plan("auto", "temperature_c"),
  ]),
  ...["temperatureF", "temperature_f", "tempF", "temp_f"].map((field): [string, FieldPlan] => [
    field,
    plan("auto", "temperature_c", "fahrenheit"),
  ]),
  ...["temperatureK", "temperature_k", "tempK", "temp_k"].map((field): [string, FieldPlan] => [
    field,
    plan("auto", "temperature_c", "kelvin"),
  ]),
  ["rpm", plan("auto", "rotation_rpm")],
  ["humidity", plan("auto", "humidity_pct")],
  ["pressureHpa", plan("auto", "pressure_hpa")],
  ["batteryPct", plan("auto", "battery_pct")],
]);

export class CompiledProfile {
  readonly name: string;
  readonly #fields: Map<string, FieldPlan>;
  readonly #limit: number;

  constructor(name: string, fields: ProfileSettings["fields"]) {
    this.name = name;
    this.#fields = new Map(DEFAULT_FIELDS);
    for (const [field, settings] of Object.entries(fields)) this.#fields.set(field, fromSettings(settings));
    this.#limit = this.#fields.size + MAX_CACHED_FIELDS;
  }

  /** @param path field name, nested ones joined by "." */
  field(path: string): FieldPlan {
    const known = this.#fields.get(path);
    if (known !== undefined) return known;
    const usable =
      path.length > 0 && path.length <= MAX_FIELD_NAME && path !== "__proto__" && !path.endsWith(".__proto__") && path.isWellFormed();
    const made = plan(usable ? "auto" : "refused", path);
    if (this.#fields.size < this.#limit) this.#fields.set(path, made);
    return made;
  }
}

function fromSettings(field: ProfileSettings["fields"][string]): FieldPlan {
  if (field.ignore === true) return plan("ignore", "");
  if (field.attribute !== undefined) return plan("attribute", field.attribute);
  const linear = field.scale !== 1 || field.offset !== 0;
  return plan("metric", field.metric ?? "", field.from ?? (linear ? "linear" : "none"), field.scale, field.offset);
}

/** The metric's value; may be infinite after scaling. */
export function convert(plan: FieldPlan, value: number): number {
  if (plan.conversion === "none") return value;
  if (plan.conversion === "fahrenheit") return (((value - 32) * 5) / 9) * plan.scale + plan.offset;
  if (plan.conversion === "kelvin") return (value - 273.15) * plan.scale + plan.offset;
  return value * plan.scale + plan.offset;
}

export type ProfileMatcher = (tenant: string, deviceId: string) => CompiledProfile;

/** The first profile that matches; devices that none matches have the built-in defaults. */
export function compileProfiles(profiles: readonly ProfileSettings[]): ProfileMatcher {
  const compiled = profiles.map((settings) => ({ settings, profile: new CompiledProfile(settings.name, settings.fields) }));
  const fallback = new CompiledProfile("default", {});
  return (tenant, deviceId) => {
    const found = compiled.find(
      ({ settings }) => (settings.tenant === undefined || settings.tenant === tenant) && matchesDevice(settings.devices, deviceId),
    );
    return found?.profile ?? fallback;
  };
}
