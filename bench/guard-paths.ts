/** The paths that the regression guard measures, and the loop that it measures them against. Each runs over the same events, a slice at a time. */
import type { PlainWriter } from "../eventlog/port.ts";
import { PartitionQueue } from "../eventlog/kafka/writer/partition-queue.ts";
import { BatchBuilder } from "../eventlog/records/batch-builder.ts";
import { encodeBatch } from "../eventlog/records/encode-batch.ts";
import { BadTopicLimit } from "../bridge/admission/bad-topics.ts";
import { ADMISSION_DEFAULTS } from "../bridge/admission/settings.ts";
import { Forwarder } from "../bridge/forwarder.ts";
import { RawHeaders } from "../bridge/raw-headers.ts";
import { RouteCache } from "../bridge/route-cache.ts";
import { PacketReader } from "../bridge/wire/packet-reader.ts";
import { deviceKey } from "../processors/formats/names.ts";
import { jobSettingsSchema } from "../processors/settings.ts";
import { buildTelemetryTopology } from "../processors/telemetry-topology.ts";
import { OutputCollector } from "../runtime/output-collector.ts";
import type { RawEvent } from "../test/support/telemetry.ts";
import { memoryTask, processBatches } from "./bench-task.ts";

const MAX_BATCH_BYTES = 512 * 1024;
/** A broker's writes to a socket hold about so much. */
const CHUNK_BYTES = 64 * 1024;
const CONNACK = Buffer.from([0x20, 3, 0, 0, 0]);

/** Does with slice `n` of the events what it is there for; returns how many events came out of it. */
export type Path = (n: number) => number;

/** What any program in this language would do with an event at the least: read it, keep something of its device, write something. */
export function referencePath(slices: readonly (readonly RawEvent[])[]): Path {
  const devices = new Map<string, { count: number; sum: number; last: number }>();
  let bytes = 0;
  return (n) => {
    for (const { value } of slices[n]) {
      const event = JSON.parse(value.toString()) as { deviceId: string; ts: number; tempC: number; rpm: number };
      const row = devices.get(event.deviceId);
      if (row === undefined) devices.set(event.deviceId, { count: 1, sum: event.tempC, last: event.ts });
      else {
        row.count++;
        row.sum += event.tempC;
        row.last = event.ts;
      }
      bytes += JSON.stringify({ deviceId: event.deviceId, ts: event.ts, temperature_c: event.tempC, rotation_rpm: event.rpm }).length;
    }
    return bytes > 0 ? slices[n].length : 0;
  };
}

/** The job's task: raw record batches in; normalized, aggregates and changelogs out, as batches to send. One commit a slice. */
export async function taskPath(slices: readonly (readonly RawEvent[])[]): Promise<Path> {
  const settings = jobSettingsSchema.parse({});
  const [subtopology] = buildTelemetryTopology(settings).subtopologies;
  const collector = new OutputCollector();
  const task = await memoryTask(subtopology, collector, 64 << 20);
  const batches = encodeSlices(slices);
  return (n) => {
    const processed = processBatches(task, settings.topics.raw, batches[n]);
    const taken = task.freeze();
    const set = collector.take();
    for (const builder of set.builders) for (const pending of builder.batches) encodeBatch(pending, {});
    task.state.committed(taken.frozen, new Map());
    collector.release(set);
    return processed;
  };
}

/** The ingress: an MQTT broker's bytes in; raw record batches to send and acknowledgements out. */
export function ingressPath(slices: readonly (readonly RawEvent[])[]): Path {
  const queue = new PartitionQueue("raw", 0, MAX_BATCH_BYTES);
  let acks = 0;
  const forwarder = new Forwarder({
    writer: { send: (_, key, value, headers, ts, done) => void queue.append(key, value, headers, ts, done) } as PlainWriter,
    routes: new RouteCache({ raw: "raw", rawPartitions: 1, dlq: "dlq", dlqPartitions: 1 }, 100_000),
    headers: new RawHeaders("guard"),
    bounds: { windowMessages: 65_535, windowBytes: 1 << 30, qos0Messages: 0, qos0Bytes: 0, maxValueBytes: 1_000_000 },
    badTopics: new BadTopicLimit(ADMISSION_DEFAULTS.badTopicRate, () => performance.now()),
    link: {
      sendAcks: (bytes) => void (acks += bytes.length / 4),
      redeliver: (error) => {
        throw error;
      },
      roomAgain: () => undefined,
    },
  });
  const reader = new PacketReader(
    { connack: () => undefined, publish: (packet) => forwarder.take(packet), pubrel: () => undefined, other: () => undefined },
    5,
  );
  reader.push(CONNACK);
  const chunks = slices.map(publishes);
  return (n) => {
    const before = acks;
    for (const chunk of chunks[n]) {
      reader.push(chunk);
      queue.seal();
      for (const batch of queue.sealed.splice(0)) {
        encodeBatch(batch.pending, {});
        batch.settle(0, undefined);
      }
      forwarder.flushAcks();
    }
    return acks - before;
  };
}

function encodeSlices(slices: readonly (readonly RawEvent[])[]): Buffer[] {
  let offset = 0;
  return slices.map((slice) => {
    const builder = new BatchBuilder("raw", 0, 1 << 30);
    for (const { tenant, deviceId, value, receivedTs } of slice) {
      const key = Buffer.from(deviceKey(tenant, deviceId));
      builder.append(receivedTs, key, 0, key.length, value, 0, value.length);
    }
    const bytes = encodeBatch(builder.batches[0], { baseOffset: offset });
    offset += slice.length;
    return Buffer.from(bytes);
  });
}

/** QoS 1, MQTT 5 without properties, in pieces as they come off a socket. */
function publishes(slice: readonly RawEvent[]): Buffer[] {
  const packets = slice.map(({ tenant, deviceId, value }, index) => {
    const topic = Buffer.from(`t/${tenant}/d/${deviceId}/telemetry`);
    const remaining = 2 + topic.length + 2 + 1 + value.length;
    const id = index + 1;
    // two bytes of remaining length: 128 to 16,383
    const head = [0x32, (remaining & 0x7f) | 0x80, remaining >> 7, topic.length >> 8, topic.length & 0xff];
    return Buffer.concat([Buffer.from(head), topic, Buffer.from([id >> 8, id & 0xff, 0]), value]);
  });
  const bytes = Buffer.concat(packets);
  return Array.from({ length: Math.ceil(bytes.length / CHUNK_BYTES) }, (_, n) =>
    Buffer.from(bytes.subarray(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES)),
  );
}
