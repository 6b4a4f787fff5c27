/** Offsets of a group, committed once, outside of a transaction. */
import type { CommittedOffset, GroupMetadata } from "../port.ts";
import type { CoordinatorClient } from "./connection/coordinator-client.ts";
import { NONE, protocolError } from "./protocol-errors.ts";
import { offsetCommitRequest } from "./requests/offset-commit.ts";

/** Generation -1 and no member id stand for an administrator, whom Kafka lets in only while the group has no members. */
export async function commitOffsets(
  coordinator: CoordinatorClient,
  group: GroupMetadata,
  offsets: readonly CommittedOffset[],
): Promise<void> {
  if (offsets.length === 0) return;
  const answers = await coordinator.send(
    offsetCommitRequest(group, offsets),
    (all) => all.find(({ errorCode }) => errorCode !== NONE)?.errorCode ?? NONE,
  );
  for (const { topic, partition, errorCode } of answers) {
    if (errorCode !== NONE)
      throw protocolError(errorCode, `OffsetCommit of ${group.groupId} for ${topic}/${partition}`, [{ topic, partition }]);
  }
}
