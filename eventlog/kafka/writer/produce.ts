/** Sends one Produce request and says for each batch what became of it. */
import { LogError, type RefusedBatch } from "../../errors.ts";
import type { TopicPartition } from "../../port.ts";
import type { Connections } from "../connection/connections.ts";
import { protocolError } from "../protocol-errors.ts";
import { produceRequest, type ProduceBatch } from "../requests/produce.ts";

export type ProduceResult =
  /** The broker's word on it; 0 is success. */
  | { readonly kind: "answered"; readonly errorCode: number; readonly baseOffset: number }
  /** No answer: it may have been written. The same batch with the same sequence may be sent again. */
  | { readonly kind: "unanswered"; readonly error: LogError };

/**
 * Results in the order of `batches`, at most one batch a partition. Never rejects with what a retry may cure. The broker waits
 * half the request's time-out for its replicas, so that its answer still comes in time.
 */
export async function produce(
  connections: Connections,
  nodeId: number,
  batches: readonly ProduceBatch[],
  transactionalId: string | null,
): Promise<ProduceResult[]> {
  try {
    const answers = await connections.send(nodeId, produceRequest(batches, transactionalId, Math.floor(connections.requestTimeoutMs / 2)));
    return batches.map(({ topic, partition }) => {
      const answer = answers.find((one) => one.partition === partition && one.topic === topic);
      if (answer !== undefined) return { kind: "answered", errorCode: answer.errorCode, baseOffset: answer.baseOffset };
      return { kind: "unanswered", error: new LogError("unavailable", `Produce: no answer for ${topic}/${partition}`) };
    });
  } catch (error) {
    if (!(error instanceof LogError) || error.action !== "retriable") throw error;
    return batches.map(() => ({ kind: "unanswered", error }));
  }
}

/** @param batch as it was sent. */
export function produceError(errorCode: number, { topic, partition }: TopicPartition, batch: RefusedBatch): LogError {
  return protocolError(errorCode, `Produce to ${topic}/${partition}`, [{ topic, partition }], batch);
}
