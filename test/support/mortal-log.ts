/** A worker's way to its log that can be cut as kill -9 cuts it: from then on nothing is heard, said, written or committed through it. */
import { LogError } from "../../eventlog/errors.ts";
import type { EventLog, GroupMember, GroupOptions, TxnWriter } from "../../eventlog/port.ts";
import { decodeAssignment, type WorkerAssignment } from "../../runtime/group-protocol.ts";
import { wrappedLog } from "./wrapped-log.ts";

/** A static member sends no farewell when it goes, so that its group cannot tell it from a dead one; another's session ends with it. */
export class MortalLog {
  readonly log: EventLog;
  readonly #diesOn: (assignment: WorkerAssignment) => boolean;
  #member: GroupMember | undefined;
  #dead = false;
  #diesInCommit = false;

  /** @param diesOn with an assignment that it never hears of. Default: it dies by kill(). */
  constructor(inner: EventLog, diesOn: (assignment: WorkerAssignment) => boolean = () => false) {
    this.#diesOn = diesOn;
    this.log = wrappedLog(inner, {
      txnWriter: (options) => this.#txnWriter(inner.txnWriter(options)),
      group: (options) => this.#group(inner, options),
    });
  }

  get dead(): boolean {
    return this.#dead;
  }

  kill(): void {
    this.#dead = true;
    void this.#member?.leave();
  }

  /** With the next transaction's records written and its offsets sent, and no word of whether it counts. Its session ends with its worker's stop(). */
  killInCommit(): void {
    this.#diesInCommit = true;
  }

  #group(inner: EventLog, options: GroupOptions): GroupMember {
    const { listener } = options;
    const member = inner.group({
      ...options,
      listener: {
        onAssigned: async (assignment, metadata) => {
          if (!this.#dead && this.#diesOn(decodeAssignment(assignment))) this.kill();
          if (!this.#dead) await listener.onAssigned(assignment, metadata);
        },
        onLost: async (error) => {
          if (!this.#dead) await listener.onLost(error);
        },
        onFatal: (error) => {
          if (!this.#dead) listener.onFatal(error);
        },
      },
    });
    this.#member = member;
    return {
      start: () => member.start(),
      metadata: () => member.metadata(),
      renewed: (stale) => this.#alive(() => member.renewed(stale)),
      rejoin: () => {
        if (!this.#dead) member.rejoin();
      },
      committed: (partitions) => this.#alive(() => member.committed(partitions)),
      commitOffsets: (offsets) => this.#alive(() => member.commitOffsets(offsets)),
      get trouble() {
        return member.trouble;
      },
      leave: () => member.leave(),
    };
  }

  #txnWriter(writer: TxnWriter): TxnWriter {
    return {
      transactionalId: writer.transactionalId,
      open: () => this.#alive(() => writer.open()),
      begin: () => writer.begin(),
      announce: (partitions, groupId) => writer.announce(partitions, groupId),
      write: (records) => this.#alive(() => writer.write(records)),
      sendOffsets: (offsets, group) => this.#alive(() => writer.sendOffsets(offsets, group)),
      commit: () => {
        this.#dead ||= this.#diesInCommit;
        return this.#alive(() => writer.commit());
      },
      abort: () => this.#alive(() => writer.abort()),
      close: () => writer.close(), // on Kafka its transaction stays open
    };
  }

  async #alive<T>(call: () => Promise<T>): Promise<T> {
    if (this.#dead) throw new LogError("unavailable", "the worker is dead");
    return call();
  }
}
