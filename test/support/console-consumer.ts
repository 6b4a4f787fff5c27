import { runCommand } from "./run-command.ts";

/** A record as kcat (librdkafka) sees it under read_committed: a client that is not ours. */
export interface ConsumedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

const NEWLINE = 0x0a;

/**
 * Reads a topic from its start to its end (the last stable offset) with kcat under read_committed, sorted by partition and
 * offset. Keys and values are exact bytes. Needs `need("kcat")`.
 */
export async function consumeAll(bootstrap: string, topic: string, timeoutMs = 60_000): Promise<ConsumedRecord[]> {
  const output = await kcat(bootstrap, topic, ["-f", "%p %o %T %K %S\\n%k%s\\n"], timeoutMs);
  const records: ConsumedRecord[] = [];
  for (let at = 0; at < output.length;) {
    const lineEnd = output.indexOf(NEWLINE, at);
    const [partition, offset, timestamp, keyLength, valueLength] = output.toString("latin1", at, lineEnd).split(" ").map(Number);
    const valueStart = lineEnd + 1 + Math.max(0, keyLength);
    const valueEnd = valueStart + Math.max(0, valueLength);
    records.push({
      partition,
      offset,
      timestamp,
      key: keyLength < 0 ? null : Buffer.from(output.subarray(lineEnd + 1, valueStart)),
      value: valueLength < 0 ? null : Buffer.from(output.subarray(valueStart, valueEnd)),
    });
    at = valueEnd + 1;
  }
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/** Headers of every record of a topic, as `partition/offset` to name and UTF-8 value. */
export async function consumeHeaders(bootstrap: string, topic: string, timeoutMs = 60_000): Promise<Map<string, Map<string, string>>> {
  const output = await kcat(bootstrap, topic, ["-J"], timeoutMs);
  const byRecord = new Map<string, Map<string, string>>();
  for (const line of output.toString("utf8").split("\n")) {
    if (line === "") continue;
    // kcat writes a header list as [name, value, name, value, ...].
    const record = JSON.parse(line) as { partition: number; offset: number; headers?: string[] };
    const headers = new Map<string, string>();
    const list = record.headers ?? [];
    for (let index = 0; index + 1 < list.length; index += 2) headers.set(list[index], list[index + 1]);
    byRecord.set(`${record.partition}/${record.offset}`, headers);
  }
  return byRecord;
}

async function kcat(bootstrap: string, topic: string, format: readonly string[], timeoutMs: number): Promise<Buffer> {
  const args = ["-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed", ...format];
  const result = await runCommand("kcat", args, { timeoutMs });
  if (result.code !== 0) throw new Error(`kcat could not read ${topic}: ${result.stderr}`);
  return result.stdout;
}
