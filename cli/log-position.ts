/** Where in the log a person means: `earliest`, `latest`, an offset (`1500`), or a time (ISO-8601, or `@` and epoch ms). */
import type { Admin, PartitionOffset, TopicPartition } from "../eventlog/port.ts";
import { parseTimestamp } from "../processors/timestamp.ts";

export type LogPosition =
  | { readonly kind: "earliest" | "latest" }
  | { readonly kind: "offset"; readonly offset: number }
  /** The first record that is not older. Epoch ms. */
  | { readonly kind: "time"; readonly ms: number };

/** Undefined for what is none of them. A time without a zone is UTC. */
export function parseLogPosition(text: string): LogPosition | undefined {
  if (text === "earliest" || text === "latest") return { kind: text };
  if (/^\d{1,15}$/.test(text)) return { kind: "offset", offset: Number(text) };
  const ms = /^@\d{1,15}$/.test(text) ? Number(text.slice(1)) : parseTimestamp(text);
  return Number.isNaN(ms) ? undefined : { kind: "time", ms };
}

/** The position in each partition, as the log stands now; an offset is moved into what the partition holds. */
export async function resolvePosition(
  admin: Admin,
  partitions: readonly TopicPartition[],
  position: LogPosition,
): Promise<PartitionOffset[]> {
  const isolation = "read_committed";
  if (position.kind === "time") return [...(await admin.listOffsets(partitions, position.ms, isolation))];
  if (position.kind !== "offset") return [...(await admin.listOffsets(partitions, position.kind, isolation))];
  const [first, last] = await Promise.all([
    admin.listOffsets(partitions, "earliest", isolation),
    admin.listOffsets(partitions, "latest", isolation),
  ]);
  return partitions.map(({ topic, partition }, index) => ({
    topic,
    partition,
    offset: Math.max(first[index].offset, Math.min(last[index].offset, position.offset)),
  }));
}
