import type { KafkaRequest } from "../wire/request.ts";

/** DeleteGroups v1 of one group; answers with the error code. Its committed offsets go with it. */
export function deleteGroupRequest(groupId: string): KafkaRequest<number> {
  return {
    apiKey: 42,
    apiVersion: 1,
    name: "DeleteGroups",
    flexible: false,
    encode: (writer) => {
      writer.int32(1).string(groupId);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const codes = reader.array((from) => {
        from.string();
        return from.int16();
      });
      return codes[0] ?? 0;
    },
  };
}
