import type { KafkaRequest } from "../wire/request.ts";

export type CoordinatorType = "group" | "transaction";

export interface FindCoordinatorResponse {
  readonly errorCode: number;
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

/** FindCoordinator v2. */
export function findCoordinatorRequest(type: CoordinatorType, key: string): KafkaRequest<FindCoordinatorResponse> {
  return {
    apiKey: 10,
    apiVersion: 2,
    name: "FindCoordinator",
    flexible: false,
    encode: (writer) => {
      writer.string(key).int8(type === "group" ? 0 : 1);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const errorCode = reader.int16();
      reader.nullableString(); // message
      return { errorCode, nodeId: reader.int32(), host: reader.string(), port: reader.int32() };
    },
  };
}
