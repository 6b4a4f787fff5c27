/** How a stage refuses an event. */
import type { Outputs, ProcessorContext } from "../topology/processor.ts";
import type { TelemetryEvent } from "./event.ts";
import type { DlqReason } from "./formats/names.ts";

/** Dead-letters the raw record; of a batch once, at its first bad event, and the good ones go on. Every bad event is counted. */
export function reject<O extends Outputs>(context: ProcessorContext<O>, event: TelemetryEvent, reason: DlqReason, message: string): void {
  const { batch } = event;
  context.count("rejected_events", reason);
  if (batch === undefined) {
    context.deadLetter(reason, message);
    return;
  }
  if (batch.rejected) return;
  batch.rejected = true;
  context.deadLetter(reason, `[${event.index}]: ${message}`);
}

/** A reason with the words for it; what a check returns instead of throwing. */
export interface Problem {
  readonly reason: DlqReason;
  readonly message: string;
}

export function problem(reason: DlqReason, message: string): Problem {
  return { reason, message };
}
