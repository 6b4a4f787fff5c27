import type { KafkaRequest } from "../wire/request.ts";

/** What stamps a producer's batches. */
export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export const NO_PRODUCER: ProducerIdentity = { producerId: -1, producerEpoch: -1 };

export interface InitProducerIdResponse extends ProducerIdentity {
  readonly errorCode: number;
}

/**
 * InitProducerId v4 (flexible). With a transactional id it fences earlier holders and aborts their transaction; with
 * `current` it only bumps the epoch of that very producer, and is refused if another has taken over meanwhile (KIP-360).
 */
export function initProducerIdRequest(
  transactionalId: string | null,
  transactionTimeoutMs: number,
  current: ProducerIdentity = NO_PRODUCER,
): KafkaRequest<InitProducerIdResponse> {
  return {
    apiKey: 22,
    apiVersion: 4,
    name: "InitProducerId",
    flexible: true,
    encode: (writer) => {
      writer.compactNullableString(transactionalId).int32(transactionTimeoutMs);
      writer.int64(current.producerId).int16(current.producerEpoch).noTags();
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      return { errorCode: reader.int16(), producerId: reader.int64(), producerEpoch: reader.int16() };
    },
  };
}
