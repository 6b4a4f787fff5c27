/** How a commit reaches the log: exactly once in one transaction, or at least once in the same order without one. */
import { LogError } from "../eventlog/errors.ts";
import type { CommittedOffset, GroupMember, PlainWriter, TopicPartition, TxnWriter, WrittenRange } from "../eventlog/port.ts";
import type { RecordSet } from "../eventlog/records/record-set.ts";

export interface LogSink {
  /** Identity that others fence when this worker dies; undefined in at-least-once mode. */
  readonly transactionalId: string | undefined;
  open(): Promise<void>;
  /** The next commit will write to about these. What is asked of the log for that is asked now, while records are processed. */
  announce(partitions: readonly TopicPartition[]): void;
  /** What was announced is not to come. No commit is in flight. */
  discard(): void;
  /** All of it or, exactly-once, none of it. Resolves with where the records landed. */
  commit(records: RecordSet, offsets: readonly CommittedOffset[], group: GroupMember): Promise<readonly WrittenRange[]>;
  /** Clears up after a commit that failed, so that the next may begin. */
  recover(): Promise<void>;
  close(): Promise<void>;
}

export class ExactlyOnceSink implements LogSink {
  readonly #writer: TxnWriter;
  readonly #groupId: string;
  /** The next commit's transaction has begun. */
  #begun = false;
  #discarded: Promise<void> | undefined;
  constructor(writer: TxnWriter, groupId: string) {
    this.#writer = writer;
    this.#groupId = groupId;
  }
  get transactionalId(): string {
    return this.#writer.transactionalId;
  }
  async open(): Promise<void> {
    await this.#discarded;
    this.#begun = false;
    await this.#writer.open();
  }
  announce(partitions: readonly TopicPartition[]): void {
    this.#writer.begin();
    this.#begun = true;
    this.#writer.announce(partitions, this.#groupId);
  }
  discard(): void {
    if (!this.#begun) return;
    this.#begun = false;
    this.#discarded = this.#writer.abort().catch(() => {}); // shows in begin()
  }
  /** Steps 2 and 3 of the commit protocol (design, section 5). */
  async commit(records: RecordSet, offsets: readonly CommittedOffset[], group: GroupMember): Promise<readonly WrittenRange[]> {
    await this.#discarded;
    if (!this.#begun) this.#writer.begin();
    this.#begun = false;
    // Both are under way at once; both are over before anything else is asked of the writer. What fails last fails of what failed first.
    const errors: unknown[] = [];
    const note = (error: unknown): undefined => void errors.push(error);
    const [ranges] = await Promise.all([
      records.recordCount > 0 ? this.#writer.write(records).catch(note) : [],
      offsets.length > 0 ? this.#sendOffsets(offsets, group).catch(note) : undefined,
    ]);
    if (ranges === undefined || errors.length > 0) throw errors[0];
    await this.#writer.commit();
    return ranges;
  }
  /**
   * A rebalance may overtake the commit. What it carries is still ours in the generation after, since nothing was given up
   * (see GroupListener): the same transaction goes on with the new stamp. Rejects when the membership is lost.
   */
  async #sendOffsets(offsets: readonly CommittedOffset[], group: GroupMember): Promise<void> {
    for (;;) {
      const stamp = group.metadata();
      try {
        return await this.#writer.sendOffsets(offsets, stamp);
      } catch (error) {
        if (!(error instanceof LogError) || error.code !== "stale-generation") throw error;
        await group.renewed(stamp);
      }
    }
  }
  /** InitProducerId ends whatever is open, whichever way the failed commit went; the committed offsets then tell which. */
  recover(): Promise<void> {
    return this.open();
  }
  close(): Promise<void> {
    return this.#writer.close();
  }
}

export class AtLeastOnceSink implements LogSink {
  readonly transactionalId = undefined;
  readonly #writer: PlainWriter;
  constructor(writer: PlainWriter) {
    this.#writer = writer;
  }
  async open(): Promise<void> {}
  announce(): void {}
  discard(): void {}
  async commit(records: RecordSet, offsets: readonly CommittedOffset[], group: GroupMember): Promise<readonly WrittenRange[]> {
    const ranges = records.recordCount > 0 ? await this.#writer.write(records) : [];
    if (offsets.length > 0) await group.commitOffsets(offsets);
    return ranges;
  }
  async recover(): Promise<void> {}
  close(): Promise<void> {
    return this.#writer.close();
  }
}
