/** One request of Kafka's protocol at one fixed version: how to encode it and how to decode its answer. */
import type { WireReader } from "./wire-reader.ts";
import type { WireWriter } from "./wire-writer.ts";

export interface KafkaRequest<Response> {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly name: string;
  /** Flexible versions carry a tag section in the request's and the response's header (KIP-482). */
  readonly flexible: boolean;
  encode(writer: WireWriter): void;
  decode(reader: WireReader): Response;
}
