import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import type { Cleanup } from "../support/cleanup.ts";
import { tempDir } from "../support/temp-dir.ts";

export const PARTITIONS = 4;

export async function openLog(t: Cleanup, dir = tempDir(t, "ingress-log")): Promise<EmbeddedLog> {
  const log = await EmbeddedLog.open({ dir });
  t.after(() => log.close());
  await createTopics(log);
  return log;
}

export async function createTopics(log: EventLog): Promise<void> {
  await log.admin.createTopics(["raw", "dlq"].map((name) => ({ name, partitions: PARTITIONS, config: {} })));
}

export interface StoredRecord {
  readonly partition: number;
  readonly key: string | undefined;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Everything in a topic now, in order within each partition. */
export async function readTopic(log: EventLog, topic: string): Promise<StoredRecord[]> {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }));
  const ends = await log.admin.listOffsets(partitions, "latest", "read_committed");
  const left = new Map(ends.filter(({ offset }) => offset > 0).map(({ partition, offset }) => [partition, offset]));
  const reader = log.reader({ isolation: "read_committed" });
  reader.assign(await log.admin.listOffsets(partitions, "earliest", "read_committed"));
  const found: StoredRecord[] = [];
  while (left.size > 0) {
    for (const { partition, records, nextOffset } of await reader.poll(1000)) {
      for (let i = 0; i < records.count; i++) {
        const headers = Object.fromEntries(records.headers(i).map((header) => [header.key, header.value?.toString() ?? ""]));
        found.push({ partition, key: records.key(i)?.toString(), value: records.value(i)?.toString() ?? "", headers });
      }
      if (nextOffset >= (left.get(partition) ?? 0)) left.delete(partition);
    }
  }
  await reader.close();
  return found;
}

export async function publisher(t: Cleanup, url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(url, { reconnectPeriod: 50, timerVariant: "native", ...options });
  client.on("error", () => undefined);
  t.after(() => client.endAsync(true));
  return client;
}

export function sorted(values: Iterable<string>): string[] {
  return [...values].sort();
}
