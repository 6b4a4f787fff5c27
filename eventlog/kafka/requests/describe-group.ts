import type { KafkaRequest } from "../wire/request.ts";

export interface DescribeGroupResponse {
  readonly errorCode: number;
  readonly memberIds: readonly string[];
  /** What the principal may do to the group, a bit for each operation (KIP-430); negative when it was not asked for. */
  readonly authorizedOperations: number;
}

/** DescribeGroups v4 of one group. One that does not exist is "Dead" and has no members. */
export function describeGroupRequest(groupId: string, withOperations = false): KafkaRequest<DescribeGroupResponse> {
  return {
    apiKey: 15,
    apiVersion: 4,
    name: "DescribeGroups",
    flexible: false,
    encode: (writer) => {
      writer.array([groupId], (to, id) => to.string(id)).boolean(withOperations);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const groups = reader.array((from) => {
        const errorCode = from.int16();
        for (let skipped = 0; skipped < 4; skipped++) from.string(); // group id, state, protocol type, protocol
        const memberIds = from.array((inner) => {
          const memberId = inner.string();
          inner.nullableString(); // instance id
          inner.string(); // client id
          inner.string(); // client host
          inner.bytes(); // metadata
          inner.bytes(); // assignment
          return memberId;
        });
        return { errorCode, memberIds, authorizedOperations: from.int32() };
      });
      return groups[0] ?? { errorCode: 0, memberIds: [], authorizedOperations: -1 };
    },
  };
}
