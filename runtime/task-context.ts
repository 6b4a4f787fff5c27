/** What one processor of a task is given: the task's clocks, stores, outputs and services. */
import type { StoreSpec } from "../state/store.ts";
import type { Output, Outputs, ProcessorContext, Punctuation, PunctuationClock } from "../topology/processor.ts";
import type { RefusedRecord } from "./dead-letters.ts";
import type { EdgeOutput } from "./edge-output.ts";
import { RuntimeError } from "./errors.ts";
import type { RecordLimit } from "./partition-counts.ts";
import type { SourceCursor } from "./source-cursor.ts";

/** The part of the task that its processors' contexts share. */
export interface TaskServices {
  readonly taskId: string;
  readonly partition: number;
  readonly source: SourceCursor;
  streamTime: number;
  receiveTime: number;
  store<S>(spec: StoreSpec<S>): S;
  schedule(intervalMs: number, clock: PunctuationClock, callback: (now: number) => void): Punctuation;
  inBackground(work: () => Promise<void>): void;
  deadLetter(reason: string, message: string, stage: string): void;
  count(name: string, reason: string, by: number): void;
  recordLimitOf(topic: string): RecordLimit;
  onProductionError(record: RefusedRecord, stage: string): void;
}

export class TaskContext implements ProcessorContext {
  readonly #services: TaskServices;
  readonly #processor: string;
  readonly #storeNames: ReadonlySet<string>;
  readonly #outputs: ReadonlyMap<string, EdgeOutput>;
  readonly taskId: string;
  readonly partition: number;
  readonly source: SourceCursor;

  constructor(services: TaskServices, processor: string, storeNames: ReadonlySet<string>, outputs: ReadonlyMap<string, EdgeOutput>) {
    this.#services = services;
    this.#processor = processor;
    this.#storeNames = storeNames;
    this.#outputs = outputs;
    this.taskId = services.taskId;
    this.partition = services.partition;
    this.source = services.source;
  }

  store<S>(spec: StoreSpec<S>): S {
    if (!this.#storeNames.has(spec.name))
      throw new RuntimeError("processing-failed", `processor "${this.#processor}" did not declare the store "${spec.name}"`);
    return this.#services.store(spec);
  }

  output<N extends string>(name: N): Output<Outputs[N]["key"], Outputs[N]["value"]> {
    const output = this.#outputs.get(name);
    if (output === undefined)
      throw new RuntimeError("processing-failed", `processor "${this.#processor}" did not declare the output "${name}"`);
    return output;
  }

  streamTime(): number {
    return this.#services.streamTime;
  }

  observeEventTime(timestamp: number): void {
    if (timestamp > this.#services.streamTime) this.#services.streamTime = timestamp;
  }

  receiveTime(): number {
    return this.#services.receiveTime;
  }

  schedule(intervalMs: number, clock: PunctuationClock, callback: (now: number) => void): Punctuation {
    return this.#services.schedule(intervalMs, clock, callback);
  }

  inBackground(work: () => Promise<void>): void {
    this.#services.inBackground(work);
  }

  deadLetter(reason: string, message: string): void {
    this.#services.deadLetter(reason, message, this.#processor);
  }

  count(name: string, reason: string, by = 1): void {
    this.#services.count(name, reason, by);
  }
}
