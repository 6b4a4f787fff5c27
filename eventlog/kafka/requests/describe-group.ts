import type { KafkaRequest } from "../wire/request.ts";

export interface DescribeGroupResponse {
  readonly errorCode: number;
  readonly memberIds: readonly string[];
}

/** DescribeGroups v4 of one group. One that does not exist is "Dead" and has no members. */
export function describeGroupRequest(groupId: string): KafkaRequest<DescribeGroupResponse> {
  return {
    apiKey: 15,
    apiVersion: 4,
    name: "DescribeGroups",
    flexible: false,
    encode: (writer) => {
      writer.array([groupId], (to, id) => to.string(id)).boolean(false);
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
        from.int32(); // authorized operations
        return { errorCode, memberIds };
      });
      return groups[0] ?? { errorCode: 0, memberIds: [] };
    },
  };
}
