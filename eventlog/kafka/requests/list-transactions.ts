import type { KafkaRequest } from "../wire/request.ts";

export interface ListTransactionsResponse {
  readonly errorCode: number;
  readonly transactions: readonly { readonly transactionalId: string; readonly producerId: number; readonly state: string }[];
}

/** ListTransactions v0 (flexible): a broker lists those it coordinates. */
export function listTransactionsRequest(states: readonly string[]): KafkaRequest<ListTransactionsResponse> {
  return {
    apiKey: 66,
    apiVersion: 0,
    name: "ListTransactions",
    flexible: true,
    encode: (writer) => {
      writer.compactArray(states, (to, state) => to.compactString(state)).compactArray([], () => undefined);
      writer.noTags();
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const errorCode = reader.int16();
      reader.compactArray((from) => from.compactString()); // unknown states
      const transactions = reader.compactArray((from) => {
        const one = { transactionalId: from.compactString(), producerId: from.int64(), state: from.compactString() };
        from.tags();
        return one;
      });
      return { errorCode, transactions };
    },
  };
}
