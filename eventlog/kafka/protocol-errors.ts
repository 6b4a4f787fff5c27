/** Kafka's error codes: names, what they mean for the port, and which are worth another try. Source: Kafka's protocol guide, "Error Codes". */
import { LogError, type LogErrorCode, type RefusedBatch } from "../errors.ts";

export const NONE = 0;
export const OFFSET_OUT_OF_RANGE = 1;
export const CORRUPT_MESSAGE = 2;
export const UNKNOWN_TOPIC_OR_PARTITION = 3;
export const MESSAGE_TOO_LARGE = 10;
export const COORDINATOR_LOAD_IN_PROGRESS = 14;
export const COORDINATOR_NOT_AVAILABLE = 15;
export const NOT_COORDINATOR = 16;
export const ILLEGAL_GENERATION = 22;
export const UNKNOWN_MEMBER_ID = 25;
export const REBALANCE_IN_PROGRESS = 27;
export const TOPIC_ALREADY_EXISTS = 36;
export const OUT_OF_ORDER_SEQUENCE_NUMBER = 45;
export const DUPLICATE_SEQUENCE_NUMBER = 46;
export const INVALID_TXN_STATE = 48;
export const CONCURRENT_TRANSACTIONS = 51;
export const UNKNOWN_PRODUCER_ID = 59;
export const GROUP_ID_NOT_FOUND = 69;
export const MEMBER_ID_REQUIRED = 79;
export const FENCED_INSTANCE_ID = 82;
export const UNSTABLE_OFFSET_COMMIT = 88;

/** Name and meaning of every code a broker may answer the requests used here with. */
const KNOWN: Readonly<Record<number, readonly [name: string, code: LogErrorCode]>> = {
  [-1]: ["UNKNOWN_SERVER_ERROR", "unavailable"],
  1: ["OFFSET_OUT_OF_RANGE", "offset-out-of-range"],
  2: ["CORRUPT_MESSAGE", "corrupt-batch"],
  3: ["UNKNOWN_TOPIC_OR_PARTITION", "unknown-topic"],
  5: ["LEADER_NOT_AVAILABLE", "unavailable"],
  6: ["NOT_LEADER_OR_FOLLOWER", "unavailable"],
  7: ["REQUEST_TIMED_OUT", "timed-out"],
  8: ["BROKER_NOT_AVAILABLE", "unavailable"],
  9: ["REPLICA_NOT_AVAILABLE", "unavailable"],
  10: ["MESSAGE_TOO_LARGE", "record-too-large"],
  12: ["OFFSET_METADATA_TOO_LARGE", "invalid-state"],
  13: ["NETWORK_EXCEPTION", "unavailable"],
  14: ["COORDINATOR_LOAD_IN_PROGRESS", "unavailable"],
  15: ["COORDINATOR_NOT_AVAILABLE", "unavailable"],
  16: ["NOT_COORDINATOR", "unavailable"],
  17: ["INVALID_TOPIC_EXCEPTION", "unknown-topic"],
  18: ["RECORD_LIST_TOO_LARGE", "record-too-large"],
  19: ["NOT_ENOUGH_REPLICAS", "unavailable"],
  20: ["NOT_ENOUGH_REPLICAS_AFTER_APPEND", "unavailable"],
  22: ["ILLEGAL_GENERATION", "stale-generation"],
  23: ["INCONSISTENT_GROUP_PROTOCOL", "invalid-state"],
  24: ["INVALID_GROUP_ID", "invalid-state"],
  25: ["UNKNOWN_MEMBER_ID", "stale-generation"],
  26: ["INVALID_SESSION_TIMEOUT", "invalid-state"],
  27: ["REBALANCE_IN_PROGRESS", "stale-generation"],
  28: ["INVALID_COMMIT_OFFSET_SIZE", "invalid-state"],
  29: ["TOPIC_AUTHORIZATION_FAILED", "unauthorized"],
  30: ["GROUP_AUTHORIZATION_FAILED", "unauthorized"],
  31: ["CLUSTER_AUTHORIZATION_FAILED", "unauthorized"],
  32: ["INVALID_TIMESTAMP", "invalid-state"],
  35: ["UNSUPPORTED_VERSION", "invalid-state"],
  36: ["TOPIC_ALREADY_EXISTS", "invalid-state"],
  37: ["INVALID_PARTITIONS", "invalid-state"],
  38: ["INVALID_REPLICATION_FACTOR", "invalid-state"],
  40: ["INVALID_CONFIG", "invalid-state"],
  41: ["NOT_CONTROLLER", "unavailable"],
  42: ["INVALID_REQUEST", "invalid-state"],
  44: ["POLICY_VIOLATION", "invalid-state"],
  45: ["OUT_OF_ORDER_SEQUENCE_NUMBER", "transaction-aborted"],
  46: ["DUPLICATE_SEQUENCE_NUMBER", "transaction-aborted"],
  47: ["INVALID_PRODUCER_EPOCH", "fenced"],
  48: ["INVALID_TXN_STATE", "transaction-aborted"],
  49: ["INVALID_PRODUCER_ID_MAPPING", "fenced"],
  50: ["INVALID_TRANSACTION_TIMEOUT", "invalid-state"],
  51: ["CONCURRENT_TRANSACTIONS", "unavailable"],
  52: ["TRANSACTION_COORDINATOR_FENCED", "fenced"],
  53: ["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "unauthorized"],
  54: ["SECURITY_DISABLED", "invalid-state"],
  55: ["OPERATION_NOT_ATTEMPTED", "transaction-aborted"],
  56: ["KAFKA_STORAGE_ERROR", "unavailable"],
  58: ["SASL_AUTHENTICATION_FAILED", "unauthorized"],
  59: ["UNKNOWN_PRODUCER_ID", "transaction-aborted"],
  68: ["NON_EMPTY_GROUP", "invalid-state"],
  69: ["GROUP_ID_NOT_FOUND", "invalid-state"],
  74: ["FENCED_LEADER_EPOCH", "unavailable"],
  75: ["UNKNOWN_LEADER_EPOCH", "unavailable"],
  76: ["UNSUPPORTED_COMPRESSION_TYPE", "unsupported-compression"],
  77: ["STALE_BROKER_EPOCH", "unavailable"],
  78: ["OFFSET_NOT_AVAILABLE", "unavailable"],
  79: ["MEMBER_ID_REQUIRED", "stale-generation"],
  80: ["PREFERRED_LEADER_NOT_AVAILABLE", "unavailable"],
  81: ["GROUP_MAX_SIZE_REACHED", "invalid-state"],
  82: ["FENCED_INSTANCE_ID", "stale-generation"],
  87: ["INVALID_RECORD", "invalid-state"],
  88: ["UNSTABLE_OFFSET_COMMIT", "unstable-offsets"],
  89: ["THROTTLING_QUOTA_EXCEEDED", "unavailable"],
  90: ["PRODUCER_FENCED", "fenced"],
  120: ["TRANSACTION_ABORTABLE", "transaction-aborted"],
};

export function errorName(errorCode: number): string {
  return KNOWN[errorCode]?.[0] ?? `error ${errorCode}`;
}

/**
 * @param what names the request and its object, e.g. "Produce to orders/3".
 * @param refused the batch, should it be too large.
 */
export function protocolError(
  errorCode: number,
  what: string,
  partitions: readonly { readonly topic: string; readonly partition: number }[] = [],
  refused?: RefusedBatch,
): LogError {
  const code = KNOWN[errorCode]?.[1] ?? "invalid-state";
  // Copies: callers pass their own records of partitions, which must not hang on the error.
  return new LogError(code, `${what}: ${errorName(errorCode)}`, {
    partitions: partitions.map(({ topic, partition }) => ({ topic, partition })),
    refused: code === "record-too-large" ? refused : undefined,
  });
}

/** The broker asked is not (or not yet) the right one, or cannot serve now: refresh metadata or wait, and ask again. */
export function isTransient(errorCode: number): boolean {
  const code = KNOWN[errorCode]?.[1];
  return code === "unavailable" || code === "timed-out";
}

/** The coordinator is elsewhere, or still loading. */
export function isCoordinatorMove(errorCode: number): boolean {
  return errorCode === COORDINATOR_LOAD_IN_PROGRESS || errorCode === COORDINATOR_NOT_AVAILABLE || errorCode === NOT_COORDINATOR;
}
