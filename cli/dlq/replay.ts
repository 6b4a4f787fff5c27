/**
 * Letters back to where their records came from. docs/dead-letters.md says what is guaranteed.
 *
 * 1. open() of one transactional id fences a replay that still runs, and ends what a killed one left open.
 * 2. The marks of what was put back before are read.
 * 3. Letters that match, are not marked and can go back: records and their marks in one transaction, some at a time.
 *
 * So a record is in its topic if and only if its mark is in the marks' topic, whatever filter it was found by.
 */
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../eventlog/topic-defaults.ts";
import type { EventLog, TxnWriter } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import type { LetterFilter } from "./filter.ts";
import { parseDeviceKey } from "../../processors/formats/names.ts";
import { sourceOf, type Letter } from "./letter.ts";
import { refusalOf, type Refusal, type Target } from "./refusals.ts";
import { fingerprintOf, MARKS_TOPIC_CONFIG, ReplayedMarks } from "./replayed-marks.ts";
import { scanLetters } from "./scan.ts";

/** One transaction's letters, and bytes: some 10 ms of work, and what a stop waits for. */
const TRANSACTION_LETTERS = 500;
const TRANSACTION_BYTES = 4 * 1024 * 1024;
/** A transaction here takes milliseconds; one of a replay that died holds readers up for so long, unless another replay comes. */
const TRANSACTION_TIMEOUT_MS = 30_000;

export interface ReplaySettings {
  readonly applicationId: string;
  readonly dlqTopic: string;
  /** Where letters of the ingress go, whose originals were never in the log. */
  readonly rawTopic: string;
  /** The same of tenants with a raw topic of their own, by tenant. */
  readonly tenantRawTopics?: ReadonlyMap<string, string>;
  /** Other topics that letters may go back to. */
  readonly sourceTopics: readonly string[];
  readonly filter: LetterFilter;
  /** Records put back at most. */
  readonly limit: number;
  readonly dryRun: boolean;
  readonly replicationFactor?: number;
  /** Stops between two transactions. */
  readonly signal?: AbortSignal;
  readonly progress?: (result: ReplayResult, done: number, total: number) => void;
  readonly now?: () => number;
}

export interface ReplayResult {
  /** Letters that match. */
  matched: number;
  /** Records put back, or with a dry run, that would be. */
  replayed: number;
  /** Letters whose record was put back before, by this run or an earlier one. */
  already: number;
  readonly refused: Partial<Record<Refusal, number>>;
  /** Of `replayed`, by `dlq.reason`. */
  readonly byReason: Record<string, number>;
  /** False: told to stop, or the limit was reached. */
  complete: boolean;
}

export function marksTopic(applicationId: string): string {
  return `${applicationId}-dlq-replayed`;
}

/** Not below `<applicationId>/`: workers that take over end every transaction there whose worker is gone. */
export function replayTransactionalId(applicationId: string): string {
  return `${applicationId}-dlq-replay`;
}

/** @throws LogError; whatever it is, running it again doubles nothing */
export async function replayLetters(log: EventLog, settings: ReplaySettings): Promise<ReplayResult> {
  const marks = marksTopic(settings.applicationId);
  if (settings.dryRun) {
    const isThere = (await log.admin.describeTopics([marks])).length > 0;
    return new Replay(log, settings, isThere ? await ReplayedMarks.load(log, marks) : new ReplayedMarks(marks), undefined).run();
  }
  const { replicationFactor } = settings;
  await log.admin.createTopics([{ name: marks, partitions: 1, replicationFactor, config: MARKS_TOPIC_CONFIG }]);
  const transactionalId = replayTransactionalId(settings.applicationId);
  const writer = log.txnWriter({ transactionalId, timeoutMs: TRANSACTION_TIMEOUT_MS });
  try {
    await writer.open();
    return await new Replay(log, settings, await ReplayedMarks.load(log, marks), writer).run();
  } finally {
    await writer.close();
  }
}

class Replay {
  readonly #log: EventLog;
  readonly #settings: ReplaySettings;
  readonly #marks: ReplayedMarks;
  /** Undefined: a dry run. */
  readonly #writer: TxnWriter | undefined;
  readonly #now: () => number;
  readonly #targets = new Map<string, Target | undefined>();
  readonly #result: ReplayResult = { matched: 0, replayed: 0, already: 0, refused: {}, byReason: {}, complete: true };
  readonly #set = new RecordSet((topic) => this.#targets.get(topic)?.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES);
  /** Taken since the last transaction. */
  #letters = 0;

  constructor(log: EventLog, settings: ReplaySettings, marks: ReplayedMarks, writer: TxnWriter | undefined) {
    this.#log = log;
    this.#settings = settings;
    this.#marks = marks;
    this.#writer = writer;
    this.#now = settings.now ?? Date.now;
  }

  async run(): Promise<ReplayResult> {
    const { dlqTopic, filter, limit, signal, progress } = this.#settings;
    await this.#learnTargets();
    for await (const { letters, done, total } of scanLetters(this.#log, dlqTopic, filter)) {
      for (const letter of letters) {
        if (this.#result.replayed >= limit || signal?.aborted === true) {
          this.#result.complete = false;
          break;
        }
        this.#take(letter);
        if (this.#letters >= TRANSACTION_LETTERS || this.#set.byteLength >= TRANSACTION_BYTES) {
          await this.#commit();
          progress?.(this.#soFar(), done, total);
        }
      }
      if (!this.#result.complete) break;
      progress?.(this.#soFar(), done, total);
    }
    await this.#commit();
    return this.#result;
  }

  /** What is taken and not committed does not count yet. */
  #soFar(): ReplayResult {
    return { ...this.#result, replayed: this.#result.replayed - this.#letters };
  }

  #take(letter: Letter): void {
    this.#result.matched++;
    const { key, value, headers, timestamp, reason } = letter;
    const source = sourceOf(letter);
    const topic = source?.topic ?? this.#rawTopicOf(key);
    const refusal = refusalOf(letter, this.#targets, topic, this.#now());
    if (refusal !== undefined) {
      this.#result.refused[refusal] = (this.#result.refused[refusal] ?? 0) + 1;
      return;
    }
    // what never stood in the log is known by its letter
    const place = source ?? letter;
    const fingerprint = fingerprintOf(key, value, timestamp);
    if (this.#marks.has(place, fingerprint)) {
      this.#result.already++;
      return;
    }
    this.#marks.add(place, fingerprint);
    this.#result.replayed++;
    this.#result.byReason[reason] = (this.#result.byReason[reason] ?? 0) + 1;
    if (this.#writer === undefined) return;
    this.#letters++;
    const partitions = this.#targets.get(topic)?.partitions ?? 1;
    // by key, as whoever wrote it first; the partition it stood in may not be the key's any more
    const partition = key === null ? (source?.partition ?? 0) % partitions : partitionForKey(key, 0, key.length, partitions);
    this.#set.partition(topic, partition).append(timestamp, key, 0, key?.length ?? 0, value, 0, value?.length ?? 0, headers);
  }

  #rawTopicOf(key: Buffer | null): string {
    const { rawTopic, tenantRawTopics } = this.#settings;
    const tenant = key === null ? undefined : parseDeviceKey(key.toString())?.tenant;
    return (tenant === undefined ? undefined : tenantRawTopics?.get(tenant)) ?? rawTopic;
  }

  /** After a failure the writer is closed with the transaction open, which the next open() of its id, or its time-out, aborts. */
  async #commit(): Promise<void> {
    if (this.#writer === undefined || this.#letters === 0) return;
    this.#marks.write(this.#set, this.#now());
    this.#writer.begin();
    await this.#writer.write(this.#set);
    await this.#writer.commit();
    this.#set.clear();
    this.#letters = 0;
  }

  async #learnTargets(): Promise<void> {
    const { rawTopic, tenantRawTopics, sourceTopics, filter } = this.#settings;
    const named = filter.sourceTopic === undefined ? [] : [filter.sourceTopic];
    const names = new Set([rawTopic, ...(tenantRawTopics?.values() ?? []), ...sourceTopics, ...named]);
    for (const name of names) this.#targets.set(name, undefined);
    for (const { name, partitions, config } of await this.#log.admin.describeTopics([...names])) {
      const deletes = (config["cleanup.policy"] ?? "delete").includes("delete");
      const retentionMs = Number(config["retention.ms"] ?? -1);
      const maxMessageBytes = Number(config["max.message.bytes"] ?? DEFAULT_MAX_MESSAGE_BYTES);
      this.#targets.set(name, { partitions, retentionMs: deletes && retentionMs >= 0 ? retentionMs : undefined, maxMessageBytes });
    }
  }
}
