/** Offsets of a group, committed once, outside of a transaction. */
import type { CommittedOffset, GroupMetadata, TopicPartition } from "../port.ts";
import type { CoordinatorClient } from "./connection/coordinator-client.ts";
import { NONE, protocolError } from "./protocol-errors.ts";
import { offsetCommitRequest } from "./requests/offset-commit.ts";

export interface RefusedCommit extends TopicPartition {
  readonly errorCode: number;
}

/**
 * Returns the first refusal; undefined when all are committed. Generation -1 and no member id stand for an
 * administrator, whom Kafka lets in only while the group has no members.
 */
export async function tryCommitOffsets(
  coordinator: CoordinatorClient,
  group: GroupMetadata,
  offsets: readonly CommittedOffset[],
): Promise<RefusedCommit | undefined> {
  if (offsets.length === 0) return undefined;
  const answers = await coordinator.send(
    offsetCommitRequest(group, offsets),
    (all) => all.find(({ errorCode }) => errorCode !== NONE)?.errorCode ?? NONE,
  );
  return answers.find(({ errorCode }) => errorCode !== NONE);
}

export function refusedCommitError({ topic, partition, errorCode }: RefusedCommit, { groupId, generationId }: GroupMetadata): Error {
  const what = `OffsetCommit of ${groupId} (generation ${generationId}) for ${topic}/${partition}`;
  return protocolError(errorCode, what, [{ topic, partition }]);
}
