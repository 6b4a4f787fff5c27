/** Kafka's default of `max.message.bytes`, the largest record batch that a topic takes. Bytes. */
export const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;
