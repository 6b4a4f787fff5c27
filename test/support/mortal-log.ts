/** A worker's way to its log that can be cut as kill -9 cuts it: from then on nothing is heard, said, written or committed through it. */
import { LogError } from "../../eventlog/errors.ts";
import type { EventLog, GroupMember, GroupOptions, TxnWriter } from "../../eventlog/port.ts";
import { decodeAssignment, type WorkerAssignment } from "../../runtime/group-protocol.ts";

/** For static members: they send no farewell when they go, so that the group cannot tell a stop from a death. */
export class MortalLog {
  readonly log: EventLog;
  readonly #diesOn: (assignment: WorkerAssignment) => boolean;
  #dead = false;

  /** @param diesOn with an assignment that it never hears of. */
  constructor(inner: EventLog, diesOn: (assignment: WorkerAssignment) => boolean) {
    this.#diesOn = diesOn;
    this.log = {
      reader: (options) => inner.reader(options),
      txnWriter: (options) => this.#txnWriter(inner.txnWriter(options)),
      plainWriter: (options) => inner.plainWriter(options),
      group: (options) => this.#group(inner, options),
      admin: inner.admin,
      partitionCount: (topic) => inner.partitionCount(topic),
      close: () => inner.close(),
    };
  }

  get dead(): boolean {
    return this.#dead;
  }

  #group(inner: EventLog, options: GroupOptions): GroupMember {
    const { listener } = options;
    const member = inner.group({
      ...options,
      listener: {
        onAssigned: async (assignment, metadata) => {
          if (!this.#dead && this.#diesOn(decodeAssignment(assignment))) this.#die(member);
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
    return {
      start: () => member.start(),
      metadata: () => member.metadata(),
      renewed: (stale) => this.#alive(() => member.renewed(stale)),
      rejoin: () => {
        if (!this.#dead) member.rejoin();
      },
      committed: (partitions) => this.#alive(() => member.committed(partitions)),
      commitOffsets: (offsets) => this.#alive(() => member.commitOffsets(offsets)),
      leave: () => member.leave(),
    };
  }

  #die(member: GroupMember): void {
    this.#dead = true;
    void member.leave(); // of a static member: its heartbeats end
  }

  #txnWriter(writer: TxnWriter): TxnWriter {
    return {
      transactionalId: writer.transactionalId,
      open: () => this.#alive(() => writer.open()),
      begin: () => writer.begin(),
      write: (records) => this.#alive(() => writer.write(records)),
      sendOffsets: (offsets, group) => this.#alive(() => writer.sendOffsets(offsets, group)),
      commit: () => this.#alive(() => writer.commit()),
      abort: () => this.#alive(() => writer.abort()),
      close: () => writer.close(),
    };
  }

  async #alive<T>(call: () => Promise<T>): Promise<T> {
    if (this.#dead) throw new LogError("unavailable", "the worker is dead");
    return call();
  }
}
