/** Serializes records into the batch of the partition that their key names. */
import type { OutputCollector } from "./output-collector.ts";
import type { BatchBuilder } from "../eventlog/records/batch-builder.ts";
import type { RecordSet } from "../eventlog/records/record-set.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { ByteWriter } from "../state/byte-writer.ts";
import type { SinkNode } from "../topology/graph.ts";
import type { StreamRecord } from "../topology/processor.ts";
import type { Receiver } from "./edge-output.ts";
import { aloneBytes } from "./record-size.ts";
import type { TaskServices } from "./task-context.ts";

/**
 * Headers are only weighed where they could matter: below the limit by more than this, a record fits whatever its headers. Or the
 * broker refuses it; then the topic's records are weighed one and all.
 */
const HEADERS_ROOM_BYTES = 65_536;

/** One for all sinks of a process: records are copied out before the next is written. */
const scratch = new ByteWriter();

export class SinkRunner implements Receiver {
  readonly node: SinkNode;
  readonly #collector: OutputCollector;
  readonly #partitions: number;
  readonly #ownPartition: number;

  readonly #services: TaskServices;
  readonly #maxBytes: number;
  /** Of key and value; above it a record is weighed. */
  readonly #unweighedBytes: number;
  /** By partition, of the set that is being filled. */
  readonly #builders: (BatchBuilder | undefined)[] = [];
  #set: RecordSet | undefined;

  constructor(node: SinkNode, collector: OutputCollector, partitions: number, services: TaskServices) {
    this.node = node;
    this.#collector = collector;
    this.#partitions = partitions;
    this.#ownPartition = services.partition % partitions;
    this.#services = services;
    const { bytes, isTight } = services.recordLimitOf(node.topic);
    this.#maxBytes = bytes;
    this.#unweighedBytes = isTight ? -1 : bytes - HEADERS_ROOM_BYTES;
  }

  process(record: StreamRecord<unknown, unknown>): void {
    const { node } = this;
    const { key, value } = record;
    scratch.reset();
    let keyEnd = 0;
    let partition = this.#ownPartition;
    if (key !== null && key !== undefined) {
      node.key.write(key, scratch);
      keyEnd = scratch.position;
      if (this.#partitions > 1) partition = partitionForKey(scratch.buffer, 0, keyEnd, this.#partitions);
    }
    const isTombstone = value === null || value === undefined;
    if (!isTombstone) node.value.write(value, scratch);
    if (scratch.position > this.#unweighedBytes && this.#isRefused(record, keyEnd)) return;
    const { buffer } = scratch;
    this.#builder(partition).append(
      record.timestamp,
      key === null || key === undefined ? null : buffer,
      0,
      keyEnd,
      isTombstone ? null : buffer,
      keyEnd,
      scratch.position,
      record.headers,
    );
  }

  #builder(partition: number): BatchBuilder {
    const { set } = this.#collector;
    if (set !== this.#set) {
      this.#set = set;
      this.#builders.length = 0;
    }
    return (this.#builders[partition] ??= set.partition(this.node.topic, partition));
  }

  /** The broker would refuse the whole commit for it, each time it is tried. */
  #isRefused({ key, value, headers, timestamp }: StreamRecord<unknown, unknown>, keyEnd: number): boolean {
    const bytes = aloneBytes(scratch.position, headers);
    if (bytes <= this.#maxBytes) return false;
    this.#services.onProductionError(
      {
        topic: this.node.topic,
        key: key === null || key === undefined ? null : scratch.buffer.subarray(0, keyEnd),
        value: value === null || value === undefined ? null : scratch.buffer.subarray(keyEnd, scratch.position),
        headers,
        timestamp,
        bytes,
        maxBytes: this.#maxBytes,
      },
      this.node.name,
    );
    return true;
  }
}
