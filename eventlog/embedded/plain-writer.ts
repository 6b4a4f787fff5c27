/** Batched writes with an acknowledgement per record: one set fills while the one before is being written. */
import { LogError } from "../errors.ts";
import type { Compression, PlainWriter, PlainWriterOptions, RecordHeader, TopicPartition, WrittenRange } from "../port.ts";
import { BatchBuilder } from "../records/batch-builder.ts";
import { HEADER_BYTES } from "../records/batch-format.ts";
import type { RecordSet } from "../records/record-set.ts";
import type { Database } from "./database.ts";
import { stageAppend, tooLarge, writeStaged } from "./stage-append.ts";
import type { StagedAppend } from "./stage-append.ts";
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
  /** Per record: the builder it went into, or why it was refused. */
  fates: (BatchBuilder | LogError)[] = [];
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

  send(
    to: TopicPartition,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    timestamp: number,
    done: Done,
  ): void {
    this.#assertOpen();
    if (this.#filling.bytes + this.#inFlightBytes > 2 * this.#maxBufferedBytes) {
      throw new LogError("buffer-full", `over ${2 * this.#maxBufferedBytes} bytes wait to be written; await ready()`);
    }
    const filling = this.#filling;
    const fate = this.#place(to, recordBytes(key, value, headers));
    if (fate instanceof BatchBuilder) fate.append(timestamp, key, 0, key?.length ?? 0, value, 0, value?.length ?? 0, headers);
    filling.dones.push(done);
    filling.fates.push(fate);
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
    if (this.#filling.dones.length > 0) this.#sendSoon();
    const written = this.#sending.then(async () => {
      this.#database.assertWritable();
      const staged = stageAppend(this.#topics, records.builders, this.#compression, false);
      await writeStaged(this.#database, [staged]);
      return staged.ranges;
    });
    this.#sending = written.then(
      () => undefined,
      () => undefined, // the caller has the error; what follows is no part of it
    );
    return written;
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
    const failures = await this.#writeBuilders(sent.builders);
    this.#inFlightBytes = 0;
    const { dones, fates } = sent;
    sent.dones = [];
    sent.fates = [];
    sent.bytes = 0;
    for (const builder of sent.builders.values()) builder.clear();
    this.#spare = sent;
    for (let i = 0; i < dones.length; i++) {
      const fate = fates[i];
      tell(dones[i], fate instanceof BatchBuilder ? failures.get(fate) : fate);
    }
    if (this.#filling.bytes <= this.#maxBufferedBytes) {
      this.#room?.resolve();
      this.#room = undefined;
    }
  }

  /** One write for all builders; those whose topic went meanwhile fail alone. */
  async #writeBuilders(builders: Map<string, BatchBuilder>): Promise<Map<BatchBuilder, Error>> {
    const failures = new Map<BatchBuilder, Error>();
    const staged: StagedAppend[] = [];
    for (const [name, builder] of builders) {
      try {
        this.#database.assertWritable();
        staged.push(stageAppend(this.#topics, [builder], this.#compression, false));
      } catch (error) {
        failures.set(builder, error as Error);
        builders.delete(name);
      }
    }
    try {
      await writeStaged(this.#database, staged);
    } catch (error) {
      for (const builder of builders.values()) failures.set(builder, error as Error);
    }
    return failures;
  }

  /** The builder for a record of this size, or why there is none. */
  #place(to: TopicPartition, bytes: number): BatchBuilder | LogError {
    const partition = this.#topics.find(to.topic, to.partition);
    if (partition === undefined) return unknownTopic(to);
    const { maxMessageBytes } = partition.config;
    if (HEADER_BYTES + bytes > maxMessageBytes) return tooLarge(partition, HEADER_BYTES + bytes, 1);
    this.#filling.bytes += bytes;
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

/** A callback that throws is its owner's bug: it goes to the process, and the writer stays right. */
function tell(done: Done, error: Error | undefined): void {
  try {
    done(error);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
