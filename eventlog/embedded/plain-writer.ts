/** Batched writes with an acknowledgement per record: one set fills while the one before is being written. */
import { LogError } from "../errors.ts";
import type { Compression, PlainWriter, PlainWriterOptions, RecordHeader, TopicPartition, WrittenRange } from "../port.ts";
import { BatchBuilder } from "../records/batch-builder.ts";
import { HEADER_BYTES } from "../records/batch-format.ts";
import type { RecordSet } from "../records/record-set.ts";
import type { Database } from "./database.ts";
import { stageAppend, tooLarge, writeStaged } from "./stage-append.ts";
import { unknownTopic } from "./topics.ts";
import type { Topics } from "./topics.ts";

/** Defaults of the port. */
const LINGER_MS = 5;
const MAX_BATCH_BYTES = 512 * 1024;
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
/** Most a record adds to its key, value and headers: lengths, deltas, attributes. */
const RECORD_OVERHEAD_BYTES = 40;

type Done = (error: Error | undefined) => void;

/** Records that go out together; refused ones wait here too, so that callbacks keep their order. */
class Filling {
  readonly builders = new Map<string, BatchBuilder>();
  dones: Done[] = [];
  errors: (LogError | undefined)[] = [];
  bytes = 0;
}

export class EmbeddedPlainWriter implements PlainWriter {
  readonly #database: Database;
  readonly #topics: Topics;
  readonly #lingerMs: number;
  readonly #maxBatchBytes: number;
  readonly #maxBufferedBytes: number;
  readonly #compression: Compression;
  readonly #onClose: (writer: EmbeddedPlainWriter) => void;
  #filling = new Filling();
  #spare: Filling | undefined;
  #inFlightBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Writes go out one after the other. */
  #sending: Promise<void> = Promise.resolve();
  #queued = false;
  #room: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(database: Database, topics: Topics, options: PlainWriterOptions, onClose: (writer: EmbeddedPlainWriter) => void) {
    this.#onClose = onClose;
    this.#database = database;
    this.#topics = topics;
    this.#lingerMs = options.lingerMs ?? LINGER_MS;
    this.#maxBatchBytes = options.maxBatchBytes ?? MAX_BATCH_BYTES;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? MAX_BUFFERED_BYTES;
    this.#compression = options.compression ?? "none";
  }

  send(to: TopicPartition, key: Uint8Array | null, value: Uint8Array | null, headers: readonly RecordHeader[] | undefined, timestamp: number, done: Done): void {
    this.#assertOpen();
    if (this.#filling.bytes + this.#inFlightBytes > 2 * this.#maxBufferedBytes) {
      throw new LogError("buffer-full", `over ${2 * this.#maxBufferedBytes} bytes wait to be written; await ready()`);
    }
    const filling = this.#filling;
    const partition = this.#topics.find(to.topic, to.partition);
    let error: LogError | undefined;
    if (partition === undefined) error = unknownTopic(to);
    else {
      const bytes = recordBytes(key, value, headers);
      if (HEADER_BYTES + bytes > partition.config.maxMessageBytes) error = tooLarge(partition, HEADER_BYTES + bytes);
      else {
        const builder = this.#builder(to, partition.config.maxMessageBytes);
        builder.append(timestamp, key, 0, key?.length ?? 0, value, 0, value?.length ?? 0, headers);
        filling.bytes += bytes;
      }
    }
    filling.dones.push(done);
    filling.errors.push(error);
    if (filling.bytes >= this.#maxBatchBytes) this.#sendSoon();
    else this.#timer ??= setTimeout(() => this.#sendSoon(), this.#lingerMs);
  }

  ready(): Promise<void> {
    if (this.#filling.bytes + this.#inFlightBytes <= this.#maxBufferedBytes) return Promise.resolve();
    this.#room ??= Promise.withResolvers<void>();
    this.#sendSoon();
    return this.#room.promise;
  }

  // async: every refusal is a rejection
  async write(records: RecordSet): Promise<readonly WrittenRange[]> {
    this.#assertOpen();
    await this.flush();
    const staged = stageAppend(this.#topics, records.builders, this.#compression, false);
    await writeStaged(this.#database, staged);
    return staged.ranges;
  }

  async flush(): Promise<void> {
    if (this.#filling.dones.length > 0) this.#sendSoon();
    await this.#sending;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
    this.#onClose(this);
  }

  /** Queues what is filling behind the write under way; until its turn it takes more. */
  #sendSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#queued) return;
    this.#queued = true;
    this.#sending = this.#sending.then(() => this.#send());
  }

  async #send(): Promise<void> {
    this.#queued = false;
    const sent = this.#filling;
    if (sent.dones.length === 0) return;
    this.#filling = this.#spare ?? new Filling();
    this.#spare = undefined;
    this.#inFlightBytes = sent.bytes;
    let failure: Error | undefined;
    try {
      await writeStaged(this.#database, stageAppend(this.#topics, sent.builders.values(), this.#compression, false));
    } catch (error) {
      failure = error as Error;
    }
    this.#inFlightBytes = 0;
    const { dones, errors } = sent;
    sent.dones = [];
    sent.errors = [];
    sent.bytes = 0;
    for (const builder of sent.builders.values()) builder.clear();
    this.#spare = sent;
    for (let i = 0; i < dones.length; i++) dones[i](errors[i] ?? failure);
    if (this.#filling.bytes <= this.#maxBufferedBytes) {
      this.#room?.resolve();
      this.#room = undefined;
    }
  }

  #builder(to: TopicPartition, maxMessageBytes: number): BatchBuilder {
    const { builders } = this.#filling;
    const name = `${to.topic}/${to.partition}`;
    let builder = builders.get(name);
    if (builder === undefined) {
      builder = new BatchBuilder(to.topic, to.partition, Math.min(this.#maxBatchBytes, maxMessageBytes));
      builders.set(name, builder);
    }
    return builder;
  }

  #assertOpen(): void {
    if (this.#closed) throw new LogError("closed", "the writer is closed");
  }
}

function recordBytes(key: Uint8Array | null, value: Uint8Array | null, headers: readonly RecordHeader[] | undefined): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  if (headers !== undefined) for (const header of headers) bytes += 10 + header.key.length * 3 + (header.value?.length ?? 0);
  return bytes;
}
