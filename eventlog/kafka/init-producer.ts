/** InitProducerId for a transactional id, with the waiting that it takes. */
import type { CoordinatorClient } from "./connection/coordinator-client.ts";
import { delay, retrying } from "./connection/retry.ts";
import { CONCURRENT_TRANSACTIONS, NONE, protocolError } from "./protocol-errors.ts";
import { initProducerIdRequest, type ProducerIdentity } from "./requests/init-producer-id.ts";

/** Aborting what an earlier holder left open takes some milliseconds; a coordinator that moves, seconds. */
const INIT_TIMEOUT_MS = 30_000;
/** Markers of the aborted transaction are being written: two or three such waits were measured. */
const CONCURRENT_DELAY_MS = 3;

/**
 * Fences earlier holders of the id and aborts their open transaction; with `current`, bumps that producer's own epoch.
 * Rejects with `fenced` when `current` is not the holder any more.
 */
export async function initProducer(
  coordinator: CoordinatorClient,
  options: {
    readonly transactionalId: string;
    readonly timeoutMs: number;
    readonly current?: ProducerIdentity;
    readonly stopped?: () => boolean;
  },
): Promise<ProducerIdentity> {
  const { transactionalId, timeoutMs, current, stopped } = options;
  const deadline = performance.now() + INIT_TIMEOUT_MS;
  return retrying({ withinMs: INIT_TIMEOUT_MS, stopped }, async () => {
    for (;;) {
      const answer = await coordinator.send(initProducerIdRequest(transactionalId, timeoutMs, current), ({ errorCode }) => errorCode);
      if (answer.errorCode === NONE) return { producerId: answer.producerId, producerEpoch: answer.producerEpoch };
      if (answer.errorCode !== CONCURRENT_TRANSACTIONS || performance.now() > deadline)
        throw protocolError(answer.errorCode, `InitProducerId of ${transactionalId}`);
      await delay(CONCURRENT_DELAY_MS);
    }
  });
}
