/** Payload fields to metrics and attributes, by the device's profile. */
import type { Output, Processor, ProcessorContext, ProcessorSpec, StreamRecord } from "../topology/processor.ts";
import type { AttributeValue, TelemetryEvent } from "./event.ts";
import { NO_METRICS, type MetricShape } from "./metric-shape.ts";
import { MAX_METRICS, type NormalizePlan } from "./normalize-plan.ts";
import { KIND, MAX_FIELDS, type Payload } from "./payload.ts";
import { convert, type CompiledProfile, type FieldPlan } from "./profile.ts";
import { problem, reject, type Problem } from "./reject.ts";

const MAX_ATTRIBUTES = 64;
/** Characters of a string attribute. */
const MAX_ATTRIBUTE_LENGTH = 1024;
/** `{"a":{"b":{"c":1}}}` is depth 3. */
const MAX_DEPTH = 4;

export type NormalizeOutputs = { normalized: { key: string; value: TelemetryEvent } };

export function normalize(): ProcessorSpec<string, TelemetryEvent, NormalizeOutputs> {
  return { name: "normalize", outputs: ["normalized"], create: () => new Normalize() };
}

class Normalize implements Processor<string, TelemetryEvent, NormalizeOutputs> {
  #context!: ProcessorContext<NormalizeOutputs>;
  #normalized!: Output<string, TelemetryEvent>;
  // Of the event in hand.
  /** Nested ones included. */
  #fields = 0;
  #metrics: MetricShape = NO_METRICS;
  #values: number[] = [];
  #attributeNames: string[] | undefined;
  #attributeValues: AttributeValue[] = [];

  init(context: ProcessorContext<NormalizeOutputs>): void {
    this.#context = context;
    this.#normalized = context.output("normalized");
  }

  process(record: StreamRecord<string, TelemetryEvent>): void {
    const event = record.value;
    const profile = event.device?.profile;
    if (profile === undefined) throw new Error("normalize comes after validate");
    const { payload } = event;
    const plan = payload.lastField.planFor(profile);
    if (plan.metrics !== undefined && takeMeasured(plan, payload)) {
      event.metrics = plan.metrics;
      event.values = plan.values;
    } else {
      const found = this.#takeFields(profile, plan, payload) ?? this.#complete();
      if (found !== undefined) return reject(this.#context, event, found.reason, found.message);
      event.metrics = this.#metrics;
      event.values = this.#values;
      if (this.#attributeNames !== undefined) {
        event.attributeNames = this.#attributeNames;
        event.attributeValues = this.#attributeValues;
      }
    }
    this.#normalized.forward(record);
  }

  #complete(): Problem | undefined {
    return this.#values.length === 0 ? problem("no-metrics", "nothing numeric in the payload") : undefined;
  }

  #takeFields(profile: CompiledProfile, { names, fields }: NormalizePlan, payload: Payload): Problem | undefined {
    this.#metrics = NO_METRICS;
    this.#values = [];
    this.#attributeNames = undefined;
    this.#fields = payload.count;
    for (let at = 0; at < payload.count; at++) {
      const found =
        payload.kinds[at] === KIND.number
          ? this.#takeNumber(fields[at], names[at], payload.numbers[at])
          : this.#takeOther(profile, fields[at], names[at], payload.value(at), 1);
      if (found !== undefined) return found;
    }
    return payload.isCutOff ? tooManyFields() : undefined;
  }

  /** Of a nested object. */
  #take(profile: CompiledProfile, object: Readonly<Record<string, unknown>>, prefix: string, depth: number): Problem | undefined {
    for (const key in object) {
      if (++this.#fields > MAX_FIELDS) return tooManyFields();
      const path = prefix + key;
      const value = object[key];
      const plan = profile.field(path);
      const found = typeof value === "number" ? this.#takeNumber(plan, path, value) : this.#takeOther(profile, plan, path, value, depth);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #takeNumber(plan: FieldPlan, path: string, value: number): Problem | undefined {
    switch (plan.kind) {
      case "auto":
      case "metric":
        return this.#addMetric(plan, path, value);
      case "attribute":
        return Number.isFinite(value) ? this.#addAttribute(plan.name, value) : notFinite(path);
      case "refused":
        return badName(path);
      default:
        return undefined;
    }
  }

  #takeOther(profile: CompiledProfile, plan: FieldPlan, path: string, value: unknown, depth: number): Problem | undefined {
    if (plan.kind === "ignore" || plan.kind === "reserved" || value === null || value === undefined) return undefined;
    if (plan.kind === "refused") return badName(path);
    if (typeof value === "object") {
      if (Array.isArray(value) || ArrayBuffer.isView(value)) {
        this.#context.count("ignored_fields", "array");
        return undefined;
      }
      if (depth === MAX_DEPTH) return problem("schema", `objects nested more than ${MAX_DEPTH} deep`);
      return this.#take(profile, value as Record<string, unknown>, `${path}.`, depth + 1);
    }
    if (plan.kind === "metric") return problem("schema", `${path} is a metric of the device's profile, and not a number`);
    if (typeof value === "boolean") return this.#addAttribute(plan.kind === "auto" ? path : plan.name, value);
    if (typeof value !== "string") return problem("schema", `${path} is of a type that JSON does not have`);
    if (value.length > MAX_ATTRIBUTE_LENGTH) return problem("schema", `${path} is longer than ${MAX_ATTRIBUTE_LENGTH} characters`);
    return this.#addAttribute(plan.kind === "auto" ? path : plan.name, value.toWellFormed());
  }

  #addMetric(plan: FieldPlan, path: string, raw: number): Problem | undefined {
    const value = plan.conversion === "none" ? raw : convert(plan, raw);
    if (!(value - value === 0)) return notFinite(path);
    const metrics = this.#metrics.append(plan.name);
    if (metrics.repeats >= 0) {
      this.#values[metrics.repeats] = value;
      return undefined;
    }
    if (this.#values.length >= MAX_METRICS) return problem("schema", `more than ${MAX_METRICS} metrics`);
    this.#metrics = metrics;
    // -0 would be written as 0 and read back as another number than was aggregated.
    this.#values.push(value + 0);
    return undefined;
  }

  #addAttribute(name: string, value: AttributeValue): Problem | undefined {
    if (this.#attributeNames === undefined) {
      this.#attributeNames = [];
      this.#attributeValues = [];
    }
    const at = this.#attributeNames.indexOf(name);
    if (at >= 0) {
      this.#attributeValues[at] = value;
      return undefined;
    }
    if (this.#attributeNames.length >= MAX_ATTRIBUTES) return problem("schema", `more than ${MAX_ATTRIBUTES} attributes`);
    this.#attributeNames.push(name);
    this.#attributeValues.push(value);
    return undefined;
  }
}

/** Most events: nothing but finite numbers. False: something else is among them. */
function takeMeasured({ fields, measured, values }: NormalizePlan, { kinds, numbers, isCutOff }: Payload): boolean {
  for (let i = 0; i < measured.length; i++) {
    const at = measured[i];
    const plan = fields[at];
    const value = plan.conversion === "none" ? numbers[at] : convert(plan, numbers[at]);
    if (kinds[at] !== KIND.number || !(value - value === 0)) return false;
    // -0 would be written as 0 and read back as another number than was aggregated.
    values[i] = value + 0;
  }
  return !isCutOff;
}

function tooManyFields(): Problem {
  return problem("schema", `more than ${MAX_FIELDS} fields`);
}

function notFinite(path: string): Problem {
  return problem("not-finite", `${path} is beyond what a number can hold`);
}

function badName(path: string): Problem {
  return problem("schema", `a field name that cannot be used: ${JSON.stringify(path.slice(0, 64))}`);
}
