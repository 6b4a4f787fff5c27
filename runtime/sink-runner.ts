/** Serializes records into the batch of the partition that their key names. */
import { OutputTooLargeError } from "./errors.ts";
import type { OutputCollector } from "./output-collector.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { ByteWriter } from "../state/byte-writer.ts";
import type { SinkNode } from "../topology/graph.ts";
import type { StreamRecord } from "../topology/processor.ts";
import type { Receiver } from "./edge-output.ts";

/** Key and value. Under Kafka's default `max.message.bytes` (1,048,588), with room for headers. */
const MAX_RECORD_BYTES = 1_000_000;

/** One for all sinks of a process: records are copied out before the next is written. */
const scratch = new ByteWriter();

export class SinkRunner implements Receiver {
  readonly node: SinkNode;
  readonly #collector: OutputCollector;
  readonly #partitions: number;
  readonly #ownPartition: number;

  constructor(node: SinkNode, collector: OutputCollector, partitions: number, ownPartition: number) {
    this.node = node;
    this.#collector = collector;
    this.#partitions = partitions;
    this.#ownPartition = ownPartition % partitions;
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
    // sent, it would fail its whole commit, again and again
    if (scratch.position > MAX_RECORD_BYTES) throw new OutputTooLargeError(node.topic, scratch.position, MAX_RECORD_BYTES);
    const { buffer } = scratch;
    this.#collector.set
      .partition(node.topic, partition)
      .append(
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
}
