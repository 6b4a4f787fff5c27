/** The wires of a running graph: what forward() does, with a count per edge. */
import type { Output, StreamRecord } from "../topology/processor.ts";

/** A processor or sink as its upstream sees it. */
export interface Receiver {
  process(record: StreamRecord<unknown, unknown>): void;
}

export class EdgeOutput implements Output<unknown, unknown> {
  readonly from: string;
  readonly to: readonly string[];
  readonly #receivers: Receiver[] = [];
  /** Records forwarded since the task began. */
  forwarded = 0;

  constructor(from: string, to: readonly string[]) {
    this.from = from;
    this.to = to;
  }

  connect(receiver: Receiver): void {
    this.#receivers.push(receiver);
  }

  forward(record: StreamRecord<unknown, unknown>): void {
    this.forwarded++;
    const receivers = this.#receivers;
    for (let i = 0; i < receivers.length; i++) receivers[i].process(record);
  }
}
