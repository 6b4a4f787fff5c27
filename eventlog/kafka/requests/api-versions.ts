import type { KafkaRequest } from "../wire/request.ts";

export interface ApiRange {
  readonly apiKey: number;
  readonly min: number;
  readonly max: number;
}

/** ApiVersions v0: the requests a broker takes, and their versions. */
export function apiVersionsRequest(): KafkaRequest<readonly ApiRange[]> {
  return {
    apiKey: 18,
    apiVersion: 0,
    name: "ApiVersions",
    flexible: false,
    encode: () => undefined,
    decode: (reader) => {
      reader.int16(); // error code
      return reader.array((from) => ({ apiKey: from.int16(), min: from.int16(), max: from.int16() }));
    },
  };
}
