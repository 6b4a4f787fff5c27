/** What becomes of the fields of an object of known names: made once for a sequence of fields and a profile. */
import { NO_METRICS, type MetricShape } from "./metric-shape.ts";
import type { CompiledProfile, FieldPlan } from "./profile.ts";

export const MAX_METRICS = 256;

export interface NormalizePlan {
  readonly names: readonly string[];
  /** What becomes of each of them. */
  readonly fields: readonly FieldPlan[];
  /** Places of the fields that are neither reserved nor ignored. */
  readonly measured: readonly number[];
  /** When each of these is a number: their metrics. Undefined: there is more to look at. */
  readonly metrics: MetricShape | undefined;
  /** Room for the values of one event, used again for the next. */
  readonly values: number[];
}

export function normalizePlan(names: readonly string[], profile: CompiledProfile): NormalizePlan {
  const fields = names.map((name) => profile.field(name));
  const measured = [...fields.keys()].filter((at) => fields[at].kind !== "reserved" && fields[at].kind !== "ignore");
  const isPlain = measured.every((at) => fields[at].kind === "auto" || fields[at].kind === "metric");
  const isBounded = measured.length > 0 && measured.length <= MAX_METRICS;
  const values = new Array<number>(measured.length).fill(0.5);
  return { names, fields, measured, values, metrics: isPlain && isBounded ? metricsOf(measured.map((at) => fields[at].name)) : undefined };
}

/** Undefined when two fields have the same metric. */
function metricsOf(names: readonly string[]): MetricShape | undefined {
  let metrics = NO_METRICS;
  for (const name of names) {
    metrics = metrics.append(name);
    if (metrics.repeats >= 0) return undefined;
  }
  return metrics;
}
