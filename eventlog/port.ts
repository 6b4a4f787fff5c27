/**
 * The event-log port: what Sluice needs of a partitioned log, and no more. `eventlog/kafka` and
 * `eventlog/embedded` implement it; `test/contract/eventlog.contract.ts` runs one body over both.
 *
 * Offsets and timestamps are JS numbers (exact to 2^53). Times are epoch milliseconds.
 */
import type { RecordsView } from "./records/view.ts";
import type { RecordSet } from "./records/record-set.ts";

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface PartitionOffset extends TopicPartition {
  readonly offset: number;
}

export type IsolationLevel = "read_committed" | "read_uncommitted";

/** One record batch of one partition; control batches and aborted data never show, but move `nextOffset`. */
export interface FetchedBatch extends TopicPartition {
  /** May hold 0 records (aborted, control, compacted away): then only `nextOffset` is news. */
  readonly records: RecordsView;
  /** Where to read on: from the batch header, past compacted tails and control batches. */
  readonly nextOffset: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  /**
   * Once, when nobody will look at `records` any more: what they are views of may go back to the system at once. Without a call it
   * goes when the garbage collector finds it, which is much later. Absent where that makes no difference.
   */
  release?(): void;
}

export interface ReaderOptions {
  readonly isolation: IsolationLevel;
  /** Upper bound of bytes fetched and not yet handed out. Default 8 MiB. */
  readonly maxBufferedBytes?: number;
  /** Upper bound of bytes one partition adds to one fetch. Default 1 MiB. */
  readonly maxPartitionBytes?: number;
  /** A compressed batch that takes more when it is opened is refused (`batch-too-large`), bytes. Default 256 MiB. */
  readonly maxBatchBytes?: number;
  /** How long the log may hold an empty fetch. Default 100 ms. */
  readonly maxWaitMs?: number;
}

/** Something that keeps failing for a passing reason and is tried again; whoever sees it decides how long that may go on. */
export interface Trouble {
  /** When it began, performance.now(). */
  readonly since: number;
  /** The first error: later ones may be of its making. */
  readonly error: Error;
}

/**
 * Pull-based reader. One caller at a time: poll() is never called while another poll() is pending.
 * Errors: `offset-out-of-range` and `batch-too-large` (with `.partitions`; the caller decides and seeks), `unknown-topic`,
 * `unauthorized`. Retriable trouble (leader moves, lost connections) is retried inside, without an end: see `trouble`.
 */
export interface LogReader {
  /** Replaces the whole assignment; positions of partitions that stay are kept unless the offset differs. Buffered data of dropped partitions is discarded. */
  assign(offsets: readonly PartitionOffset[]): void;
  seek(offset: PartitionOffset): void;
  /** Paused partitions are neither fetched nor handed out; what is buffered of them waits. */
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /** Waits up to `waitMs` for at least one batch; [] on time-out or wakeup(). The next fetch is in flight when it returns. */
  poll(waitMs: number): Promise<FetchedBatch[]>;
  /** Ends a pending poll early. */
  wakeup(): void;
  /** What keeps assigned partitions from being read now: of several the oldest. */
  readonly trouble: Trouble | undefined;
  close(): Promise<void>;
}

/** Where each partition's records of one write landed. */
export interface WrittenRange extends TopicPartition {
  readonly baseOffset: number;
  /** First offset after the written records (a transaction marker may follow it). */
  readonly nextOffset: number;
}

export interface CommittedOffset extends PartitionOffset {
  /** Opaque to the log; at most 4096 bytes of UTF-8. */
  readonly metadata?: string;
}

/** What a group stamps on its commits (KIP-447). */
export interface GroupMetadata {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly instanceId?: string;
}

/**
 * One transactional id. Order of calls: open, then (begin, write*, sendOffsets?, commit|abort)*, close.
 * Errors are LogErrors; see `action` for what to do. open() may follow any error: it is the way back that needs to know nothing of
 * what happened. After `fenced` nothing is written until then.
 * `stale-generation` of sendOffsets leaves the transaction open: nothing of the call was taken, and it may be sent again with the
 * next generation of the same membership (see GroupMember.renewed), or the transaction aborted; it is not committed without.
 */
export interface TxnWriter {
  readonly transactionalId: string;
  /** Fences every earlier holder of the id, this one too, and ends what is open under it. */
  open(): Promise<void>;
  begin(): void;
  /**
   * In an open transaction: what write() and sendOffsets() will be given, as far as it is known, so that they have less to ask for.
   * Neither has to take all of it, nor only this. What fails shows in them and in commit().
   */
  announce(partitions: readonly TopicPartition[], groupId: string): void;
  /** Whatever comes of it, the set is only good for clear() after: its buffers may be others' by then. */
  write(records: RecordSet): Promise<readonly WrittenRange[]>;
  sendOffsets(offsets: readonly CommittedOffset[], group: GroupMetadata): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
  close(): Promise<void>;
}

export interface PlainWriterOptions {
  /** How long a record may wait for company. Default 5 ms. */
  readonly lingerMs?: number;
  /** A request is sent early at this size. Default 512 KiB; a batch never exceeds the topic's limit. */
  readonly maxBatchBytes?: number;
  /** Unacknowledged bytes above this make `ready()` wait. Default 16 MiB. */
  readonly maxBufferedBytes?: number;
  readonly compression?: Compression;
}

export type Compression = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/**
 * Idempotent, acks=all, in order per partition. Bounded: the caller awaits `ready()` (resolves at once when
 * there is room) before it sends more; `send` above twice the bound throws `buffer-full`.
 */
export interface PlainWriter {
  /** `done` is called exactly once: with undefined when the record is durable, else with the error (the record may be retried by the caller only when `action` is "retriable"). */
  send(
    to: TopicPartition,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    timestamp: number,
    done: (error: Error | undefined) => void,
  ): void;
  ready(): Promise<void>;
  /** Writes a whole set at once and waits until it is durable (at-least-once commit path). As TxnWriter.write(). */
  write(records: RecordSet): Promise<readonly WrittenRange[]>;
  /** Sends what waits and resolves when everything sent so far is durable or failed. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array | null;
}

export interface GroupMemberInfo {
  readonly memberId: string;
  readonly instanceId?: string;
  /** What the member said of itself when it joined (GroupOptions.userData). */
  readonly userData: Buffer;
}

/** Runs on the group's leader only. Every member must get an entry (an empty Buffer for none). */
export interface Assignor {
  /** Protocol name on the wire; all members of a group must share it. */
  readonly name: string;
  assign(members: readonly GroupMemberInfo[]): Promise<Map<string, Buffer>>;
}

/**
 * Calls never overlap. A rebalance takes nothing away by itself (cooperative, KIP-429): the member joins with the user data of then
 * and goes on with what it holds and commits; onAssigned tells it what to hold from now on. The next join waits until onAssigned
 * resolved, so what a member gave up there is free for others in the generation after, and not before.
 */
export interface GroupListener {
  onAssigned(assignment: Buffer, metadata: GroupMetadata): Promise<void>;
  /** The membership is gone (fenced, expired) and others may have what this member holds: nothing may be committed. */
  onLost(error: Error): Promise<void>;
  /** The member gave up for good (authorization, unsupported): the worker must stop. */
  onFatal(error: Error): void;
}

export interface GroupOptions {
  readonly groupId: string;
  readonly instanceId?: string;
  /** What the group reads: with it Kafka's own tools can describe the group. The same for all members, and for ever. */
  readonly topics?: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** Called at each join. */
  userData(): Buffer;
  readonly assignor: Assignor;
  readonly listener: GroupListener;
}

export interface GroupMember {
  /** Joins and keeps the membership by heartbeats on their own timer until leave(). Resolves after the first onAssigned. */
  start(): Promise<void>;
  /** Of the current generation, from its forming on; stamps sendOffsets. */
  metadata(): GroupMetadata;
  /**
   * For a commit that a rebalance overtook: resolves once this membership is in a later generation than `stale`. Rejects with
   * `stale-generation` when the membership is another one or is lost, or after the rebalance time-out.
   */
  renewed(stale: GroupMetadata): Promise<void>;
  /** Asks for a rebalance (new user data, changed partition count). */
  rejoin(): void;
  /** Committed offsets that are stable. A partition without one is absent. Rejects with `unstable-offsets` (retriable, `.partitions`) while another's transaction is open on one. */
  committed(partitions: readonly TopicPartition[]): Promise<readonly CommittedOffset[]>;
  /** Non-transactional commit (at-least-once mode), stamped with the current generation; one that a rebalance overtakes, with the next. */
  commitOffsets(offsets: readonly CommittedOffset[]): Promise<void>;
  /** What keeps this member from joining, or from telling the group that it is alive. Both are tried again without an end. */
  readonly trouble: Trouble | undefined;
  /** Leaves (dynamic member) or just stops heartbeats (static member). The listener hears nothing of it. */
  leave(): Promise<void>;
}

export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  /** Default: what the broker defaults to. */
  readonly replicationFactor?: number;
  /** Kafka's topic configuration names, e.g. `cleanup.policy`, `retention.ms`. */
  readonly config: Readonly<Record<string, string>>;
}

export interface TopicDescription {
  readonly name: string;
  readonly partitions: number;
  readonly config: Readonly<Record<string, string>>;
}

export interface Admin {
  /** Topics that exist already are left alone. Returns the names it made. */
  createTopics(topics: readonly TopicSpec[]): Promise<readonly string[]>;
  /** Absent topics are absent from the answer. */
  describeTopics(names: readonly string[]): Promise<readonly TopicDescription[]>;
  deleteTopics(names: readonly string[]): Promise<void>;
  /** `at`: "earliest", "latest" (last stable offset under read_committed), or first offset whose timestamp is >= the number. */
  listOffsets(
    partitions: readonly TopicPartition[],
    at: "earliest" | "latest" | number,
    isolation: IsolationLevel,
  ): Promise<readonly PartitionOffset[]>;
  /** Committed offsets of a group, without joining it. */
  groupOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<readonly CommittedOffset[]>;
  /** Commits offsets for a group that has no members. Rejects with `stale-generation` while it has. */
  setGroupOffsets(groupId: string, offsets: readonly CommittedOffset[]): Promise<void>;
  /** Rejects with `invalid-state` while the group has members. */
  deleteGroupOffsets(groupId: string): Promise<void>;
  /** Ids of the members; a stopped static member counts until its session ends. [] for a group that does not exist. */
  groupMembers(groupId: string): Promise<readonly string[]>;
  /** Deletes what stands before each offset. Rejects with `offset-out-of-range` for one beyond the end. */
  deleteRecords(before: readonly PartitionOffset[]): Promise<void>;
  /** Transactional ids with this prefix that have a transaction open now. */
  openTransactions(transactionalIdPrefix: string): Promise<readonly string[]>;
  /** Aborts a dead writer's open transaction by taking over its transactional id. */
  fence(transactionalId: string): Promise<void>;
}

export interface EventLog {
  reader(options: ReaderOptions): LogReader;
  txnWriter(options: { transactionalId: string; timeoutMs: number; compression?: Compression }): TxnWriter;
  plainWriter(options: PlainWriterOptions): PlainWriter;
  group(options: GroupOptions): GroupMember;
  readonly admin: Admin;
  /** Partition counts are cached and refreshed on demand. Rejects with `unknown-topic`. */
  partitionCount(topic: string): Promise<number>;
  close(): Promise<void>;
}
