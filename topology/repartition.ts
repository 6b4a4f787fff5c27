/** Repartition topics: what a user says of one, and how it is named. */
import type { Serde } from "../state/serde.ts";

export interface RepartitionOptions<K, V> {
  /** Names the topic, `<applicationId>-<name>-repartition`, and its nodes. Keep it: under another name what is under way is not read any more. */
  readonly name: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** Of the topic. Default: as many as the sources upstream have, or those it is read together with. */
  readonly partitions?: number;
}

/** As Kafka Streams names it. */
export function repartitionTopic(applicationId: string, name: string): string {
  return `${applicationId}-${unnamedRepartitionTopic(name)}`;
}

/** In a topology that no application runs yet. */
export function unnamedRepartitionTopic(name: string): string {
  return `${name}-repartition`;
}
