/** Raw bytes to payload objects: JSON, arrays of JSON objects, and Confluent-framed Avro. Bytes that are none of it are dead-lettered. */
import { isUtf8 } from "node:buffer";
import type { ByteSlice } from "../state/serdes.ts";
import type { Output, Processor, ProcessorContext, ProcessorSpec, StreamRecord } from "../topology/processor.ts";
import { hasBackslashKey } from "./backslash-keys.ts";
import { TelemetryEvent, type Batch } from "./event.ts";
import { FRAME_HEADER_BYTES, isFramed, type SchemaSource } from "./framing.ts";
import { JsonFields } from "./json-fields.ts";
import { hasNonFiniteToken } from "./non-finite.ts";
import { Payload } from "./payload.ts";
import { problem, reject, type Problem } from "./reject.ts";

/** Events in one raw value: bounds the time that one record takes (about 3 us an event, and no slice above 10 ms). */
const MAX_BATCH_EVENTS = 2_000;

export type DecodeOutputs = { events: { key: string | null; value: TelemetryEvent } };

export interface DecodeOptions {
  readonly maxValueBytes: number;
  /** Absent: a framed value is just no JSON. */
  readonly schemas?: SchemaSource;
}

export function decode(options: DecodeOptions): ProcessorSpec<string | null, ByteSlice | null, DecodeOutputs> {
  return { name: "decode", outputs: ["events"], create: () => new Decode(options) };
}

class Decode implements Processor<string | null, ByteSlice | null, DecodeOutputs> {
  readonly #maxValueBytes: number;
  readonly #schemas: SchemaSource | undefined;
  #context!: ProcessorContext<DecodeOutputs>;
  #events!: Output<string | null, TelemetryEvent>;
  readonly #json = new JsonFields();
  readonly #payload = new Payload();
  readonly #event = new TelemetryEvent(this.#payload);
  /** Forwarded for each event. */
  readonly #record = { key: null as string | null, value: this.#event, timestamp: 0.5 };
  /** Why the last #parse() found nothing. */
  #problem: Problem | undefined;

  constructor(options: DecodeOptions) {
    this.#maxValueBytes = options.maxValueBytes;
    this.#schemas = options.schemas;
  }

  init(context: ProcessorContext<DecodeOutputs>): void {
    this.#context = context;
    this.#events = context.output("events");
  }

  process(record: StreamRecord<string | null, ByteSlice | null>): void {
    this.#problem = undefined;
    const payload = this.#parse(record.value);
    if (this.#problem !== undefined) this.#refuse(this.#problem);
    else if (payload === this.#payload) this.#forward(record, undefined, 0);
    else if (Array.isArray(payload)) this.#forwardBatch(record, payload);
    else if (isObject(payload)) {
      this.#payload.take(payload);
      this.#forward(record, undefined, 0);
    } else this.#refuse(problem("not-object", `a payload is an object or an array of objects, not ${kindOf(payload)}`));
  }

  /** What is in #payload. */
  #forward({ key, timestamp }: StreamRecord<string | null, ByteSlice | null>, batch: Batch | undefined, index: number): void {
    this.#event.begin(batch, index);
    this.#record.key = key;
    this.#record.timestamp = timestamp;
    this.#events.forward(this.#record);
  }

  #forwardBatch(record: StreamRecord<string | null, ByteSlice | null>, elements: readonly unknown[]): void {
    if (elements.length === 0) return this.#refuse(problem("empty", "an array without events"));
    if (elements.length > MAX_BATCH_EVENTS)
      return this.#refuse(problem("too-large", `${elements.length} events in one value, and ${MAX_BATCH_EVENTS} are allowed`));
    const batch: Batch = { rejected: false };
    for (let index = 0; index < elements.length; index++) {
      const element = elements[index];
      if (isObject(element)) {
        this.#payload.take(element);
        this.#forward(record, batch, index);
        continue;
      }
      this.#event.begin(batch, index);
      reject(this.#context, this.#event, "not-object", `an event is an object, not ${kindOf(element)}`);
    }
  }

  #refuse(found: Problem): void {
    this.#context.count("rejected_events", found.reason);
    this.#context.deadLetter(found.reason, found.message);
  }

  /** What the value says; #payload itself, filled, when it is a plain object. */
  #parse(slice: ByteSlice | null): unknown {
    if (slice === null || slice.end <= slice.start) return this.#fail(problem("empty", "no value"));
    const { bytes, start, end } = slice;
    if (end - start > this.#maxValueBytes)
      return this.#fail(problem("too-large", `${end - start} bytes, and ${this.#maxValueBytes} are allowed`));
    if (this.#schemas !== undefined && isFramed(bytes, start, end)) return this.#decodeAvro(this.#schemas, bytes, start, end);
    if (this.#json.read(bytes, start, end, this.#payload)) return this.#payload;
    const text = bytes.toString("utf8", start, end);
    // toString() replaces what is no UTF-8; only then, or when the device sent U+FFFD itself, is a closer look needed.
    if (text.includes("\ufffd") && !isUtf8(bytes.subarray(start, end))) return this.#fail(problem("not-json", "not UTF-8"));
    if (text.includes("\\") && hasBackslashKey(text)) return this.#fail(problem("schema", "a field name with a backslash"));
    try {
      return JSON.parse(text);
    } catch (error) {
      if (hasNonFiniteToken(text)) return this.#fail(problem("not-finite", "NaN and Infinity are not JSON"));
      return this.#fail(problem("not-json", error instanceof Error ? error.message : String(error)));
    }
  }

  #decodeAvro(schemas: SchemaSource, bytes: Buffer, start: number, end: number): unknown {
    const id = bytes.readInt32BE(start + 1);
    const type = schemas.get(id);
    if (type === undefined) return this.#fail(problem("unknown-schema", `the registry has no Avro schema ${id}`));
    try {
      // avsc's records have enumerable methods on their prototype; a clone has the fields alone, at every level.
      return structuredClone(type.fromBuffer(bytes.subarray(start + FRAME_HEADER_BYTES, end)));
    } catch (error) {
      return this.#fail(problem("avro", `schema ${id}: ${error instanceof Error ? error.message : String(error)}`));
    }
  }

  #fail(found: Problem): undefined {
    this.#problem = found;
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}
