/** What one round has to say to the log: statuses, dead letters and positions, written in one transaction. */
import { DEAD_LETTER_KEPT_BYTES, deadLetterHeaders, truncateDeadLetter } from "../../eventlog/dead-letter.ts";
import { LogError } from "../../eventlog/errors.ts";
import type { CommittedOffset, GroupMember, TxnWriter } from "../../eventlog/port.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import { commandKey, type CommandStatus } from "../../processors/formats/commands.ts";
import type { UnreadableCommand } from "./lane.ts";

/** Below Kafka's default limit of a batch, 1,048,588 bytes. */
const MAX_BATCH_BYTES = 900_000;

export interface JournalTopics {
  readonly commands: string;
  readonly status: string;
  readonly dlq: string;
  readonly dlqPartitions: number;
}

export class Journal {
  readonly #topics: JournalTopics;
  readonly #records = new RecordSet(MAX_BATCH_BYTES);

  constructor(topics: JournalTopics) {
    this.#topics = topics;
  }

  get isEmpty(): boolean {
    return this.#records.recordCount === 0;
  }

  status(partition: number, status: CommandStatus): void {
    const key = Buffer.from(commandKey(status));
    const value = Buffer.from(JSON.stringify(status));
    this.#records.partition(this.#topics.status, partition).append(status.ts, key, 0, key.length, value, 0, value.length);
  }

  deadLetter(partition: number, { reason, message, key, value, headers, offset }: UnreadableCommand, now: number): void {
    const { commands, dlq, dlqPartitions } = this.#topics;
    const kept = value === null ? { value, cut: undefined } : truncateDeadLetter(value, DEAD_LETTER_KEPT_BYTES);
    const source = `${commands}/${partition}/${offset}`;
    const all = deadLetterHeaders({ reason, message, stage: "commands", source, ts: now, original: headers, cut: kept.cut });
    this.#records
      .partition(dlq, partition % dlqPartitions)
      .append(now, key, 0, key?.length ?? 0, kept.value, 0, kept.value?.length ?? 0, all);
  }

  clear(): void {
    this.#records.clear();
  }

  /** One transaction. After an error nothing is known of it but what the log says; the writer must be opened anew. */
  async commit(writer: TxnWriter, offsets: readonly CommittedOffset[], group: GroupMember): Promise<void> {
    writer.begin();
    await writer.write(this.#records);
    for (;;) {
      const stamp = group.metadata();
      try {
        await writer.sendOffsets(offsets, stamp);
        break;
      } catch (error) {
        // A rebalance overtook it; what is ours stays ours until we give it up, so the next generation's stamp is as good.
        if (!(error instanceof LogError) || error.code !== "stale-generation") throw error;
        await group.renewed(stamp);
      }
    }
    await writer.commit();
    this.#records.clear();
  }
}
