/** Committed offsets of a group, asked once. */
import { LogError } from "../errors.ts";
import type { CommittedOffset, TopicPartition } from "../port.ts";
import type { CoordinatorClient } from "./connection/coordinator-client.ts";
import { NONE, protocolError, UNSTABLE_OFFSET_COMMIT } from "./protocol-errors.ts";
import { offsetFetchRequest } from "./requests/offset-fetch.ts";

/**
 * @param requireStable reject with `unstable-offsets` while a transaction has an offset of a partition open (KIP-447);
 * else the offset before that transaction is the answer.
 */
export async function fetchCommitted(
  coordinator: CoordinatorClient,
  groupId: string,
  partitions: readonly TopicPartition[],
  requireStable: boolean,
): Promise<CommittedOffset[]> {
  if (partitions.length === 0) return [];
  const answer = await coordinator.send(offsetFetchRequest(groupId, partitions, requireStable), (response) => response.errorCode);
  if (answer.errorCode !== NONE) throw protocolError(answer.errorCode, `committed offsets of ${groupId}`);
  const unstable = answer.partitions.filter(({ errorCode }) => errorCode === UNSTABLE_OFFSET_COMMIT);
  if (unstable.length > 0) {
    const which = unstable.map(({ topic, partition }) => ({ topic, partition }));
    throw new LogError("unstable-offsets", `another's transaction is open on offsets of ${groupId}`, { partitions: which });
  }
  return answer.partitions.flatMap(({ topic, partition, offset, metadata, errorCode }) => {
    if (errorCode !== NONE)
      throw protocolError(errorCode, `committed offset of ${groupId} for ${topic}/${partition}`, [{ topic, partition }]);
    if (offset < 0) return [];
    return [metadata === "" ? { topic, partition, offset } : { topic, partition, offset, metadata }];
  });
}
