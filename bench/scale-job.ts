/** What an event and a device take in bytes: the real task over devices that report now and then, its batches read back. */
import { encodeBatch } from "../eventlog/records/encode-batch.ts";
import { BatchBuilder } from "../eventlog/records/batch-builder.ts";
import { parseBatches } from "../eventlog/records/parse-batches.ts";
import type { RecordHeader } from "../eventlog/port.ts";
import { RawHeaders } from "../bridge/raw-headers.ts";
import { deviceKey, RAW_HEADERS } from "../processors/formats/names.ts";
import { jobSettingsSchema } from "../processors/settings.ts";
import { buildTelemetryTopology } from "../processors/telemetry-topology.ts";
import { OutputCollector } from "../runtime/output-collector.ts";
import { memoryTask, processBatches } from "./bench-task.ts";

const DEVICES = 500;

export interface TopicTraffic {
  readonly recordsPerEvent: number;
  readonly bytesPerEvent: number;
}

export interface StoreSize {
  readonly rowsPerDevice: number;
  /** Of records as a compacted changelog keeps them, one a batch excluded: key, value, framing. */
  readonly bytesPerDevice: number;
}

export interface JobBytes {
  readonly raw: TopicTraffic;
  /** By topic, once every ring and window is full. */
  readonly written: Readonly<Record<string, TopicTraffic>>;
  /** By changelog. */
  readonly kept: Readonly<Record<string, StoreSize>>;
}

/** Each device one event every `reportMs`, `samples` of them; the second half is counted as traffic. A commit for each time that all have reported. */
export async function jobBytes(reportMs: number, windowMs: number, samples: number): Promise<JobBytes> {
  const settings = jobSettingsSchema.parse({ windows: [{ sizeMs: windowMs }] });
  const [subtopology] = buildTelemetryTopology(settings).subtopologies;
  const collector = new OutputCollector();
  const task = await memoryTask(subtopology, collector, 256 << 20);
  const baseMs = Math.floor((Date.now() - samples * reportMs) / windowMs) * windowMs;
  const raw = { records: 0, bytes: 0 };
  const written = new Map<string, { records: number; bytes: number }>();
  const kept = new Map<string, Map<string, number>>();
  let offset = 0;
  for (let seq = 0; seq < samples; seq++) {
    const batch = rawBatch(seq, baseMs + seq * reportMs, reportMs, offset);
    offset += DEVICES;
    processBatches(task, settings.topics.raw, batch);
    const taken = task.freeze();
    const set = collector.take();
    const isCounted = seq >= samples / 2;
    if (isCounted) count(raw, DEVICES, batch.length);
    for (const builder of set.builders) {
      for (const pending of builder.batches) {
        const bytes = encodeBatch(pending, {});
        if (isCounted) count(trafficOf(written, builder.topic), pending.recordCount, bytes.length);
        if (builder.topic.endsWith("-changelog")) keep(rowsOf(kept, builder.topic), bytes);
      }
    }
    task.state.committed(taken.frozen, new Map());
    collector.release(set);
  }
  const perEvent = ({ records, bytes }: { records: number; bytes: number }): TopicTraffic => ({
    recordsPerEvent: records / raw.records,
    bytesPerEvent: bytes / raw.records,
  });
  return {
    raw: perEvent(raw),
    written: Object.fromEntries([...written].map(([topic, traffic]) => [topic, perEvent(traffic)])),
    kept: Object.fromEntries([...kept].map(([topic, rows]) => [topic, sizeOf(rows)])),
  };
}

/** As the ingress writes them, headers included. */
function rawBatch(seq: number, ts: number, reportMs: number, baseOffset: number): Buffer {
  const builder = new BatchBuilder("raw", 0, 1 << 30);
  const headers = new RawHeaders("sluice-ingress-0");
  for (let device = 0; device < DEVICES; device++) {
    const deviceId = `device-${String(device).padStart(9, "0")}`;
    const at = ts + Math.floor((device / DEVICES) * reportMs);
    const value = Buffer.from(`{"deviceId":"${deviceId}","bootId":"b1","seq":${seq},"ts":${at},"tempC":21.37,"rpm":1203}`);
    const key = Buffer.from(deviceKey("demo", deviceId));
    const topic: RecordHeader = { key: RAW_HEADERS.topic, value: Buffer.from(`t/demo/d/${deviceId}/telemetry`) };
    builder.append(at, key, 0, key.length, value, 0, value.length, headers.of(topic, 1, false, false, undefined, at));
  }
  return Buffer.from(encodeBatch(builder.batches[0], { baseOffset }));
}

/** Newest record of each key; a tombstone takes it away. */
function keep(rows: Map<string, number>, batch: Buffer): void {
  for (const parsed of parseBatches(batch)) {
    const records = parsed.records(0);
    for (let i = 0; i < records.count; i++) {
      const key = String(records.key(i)?.toString("latin1"));
      if (records.valueStarts[i] < 0) rows.delete(key);
      else rows.set(key, records.ends[i] - records.keyStarts[i]);
    }
  }
}

function sizeOf(rows: ReadonlyMap<string, number>): StoreSize {
  return { rowsPerDevice: rows.size / DEVICES, bytesPerDevice: [...rows.values()].reduce((sum, bytes) => sum + bytes, 0) / DEVICES };
}

function trafficOf(topics: Map<string, { records: number; bytes: number }>, topic: string): { records: number; bytes: number } {
  const traffic = topics.get(topic) ?? { records: 0, bytes: 0 };
  topics.set(topic, traffic);
  return traffic;
}

function rowsOf(topics: Map<string, Map<string, number>>, topic: string): Map<string, number> {
  const rows = topics.get(topic) ?? new Map<string, number>();
  topics.set(topic, rows);
  return rows;
}

function count(traffic: { records: number; bytes: number }, records: number, bytes: number): void {
  traffic.records += records;
  traffic.bytes += bytes;
}
