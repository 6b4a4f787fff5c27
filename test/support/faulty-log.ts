/** An event log whose commits fail on demand: to reach every branch of the commit protocol's error handling. */
import { LogError, type LogErrorCode } from "../../eventlog/errors.ts";
import type { Admin, EventLog, GroupMember, PlainWriter, Trouble, TxnWriter } from "../../eventlog/port.ts";

/** `after-commit`: the transaction commits and the answer is lost. */
export type FaultPoint = "write" | "offsets" | "commit" | "after-commit";

export class FaultyLog {
  readonly log: EventLog;
  #next: { point: FaultPoint; code: LogErrorCode } | undefined;
  /** The fault before was an injected stale generation. */
  #staleInjected = false;
  /** Nothing is written or begun anew, as if the log were gone, until it is unset. */
  away: LogErrorCode | undefined;
  /** Committed offsets cannot be read, until it is unset. */
  offsetsAway: LogErrorCode | undefined;
  /** No member joins, for this reason; only to be set before the group is started. */
  joinTrouble: Trouble | undefined;
  /** `max.message.bytes` as describeTopics has it, by topic, whatever it is: a change that not every broker knows of. */
  readonly describedLimits = new Map<string, number>();
  /** Partition counts as describeTopics has them, by topic. */
  readonly describedPartitions = new Map<string, number>();
  /** How often a fault was injected. */
  injected = 0;
  /** A fault that is due waits for it. */
  faultGate: Promise<void> | undefined;
  /** How many came to that gate. */
  faultsHeld = 0;
  /** Partition counts wait for it, and with them the leader's assignor. */
  assignGate: Promise<void> | undefined;
  /** How many came to the gate. */
  gated = 0;

  constructor(inner: EventLog) {
    this.log = {
      reader: (options) => inner.reader(options),
      txnWriter: (options) => this.#wrap(inner.txnWriter(options)),
      plainWriter: (options) => this.#wrapPlain(inner.plainWriter(options)),
      group: (options) => this.#wrapGroup(inner.group(options)),
      admin: this.#wrapAdmin(inner.admin),
      partitionCount: async (topic) => {
        if (this.assignGate !== undefined) {
          this.gated++;
          await this.assignGate;
        }
        return inner.partitionCount(topic);
      },
      close: () => inner.close(),
    };
  }

  /** The next transaction to come to this point fails there. */
  failNext(point: FaultPoint, code: LogErrorCode): void {
    this.#staleInjected = false;
    this.#next = { point, code };
  }

  async #trip(point: FaultPoint): Promise<void> {
    if (this.away !== undefined) throw new LogError(this.away, "injected: the log is away");
    if (this.#next?.point !== point) return;
    const { code } = this.#next;
    this.#next = undefined;
    if (this.faultGate !== undefined) {
      this.faultsHeld++;
      await this.faultGate;
    }
    this.#staleInjected = code === "stale-generation";
    this.injected++;
    throw new LogError(code, `injected at ${point}`);
  }

  #wrapAdmin(inner: Admin): Admin {
    const describeTopics: Admin["describeTopics"] = async (names) =>
      (await inner.describeTopics(names)).map((topic) => {
        const limit = this.describedLimits.get(topic.name);
        const config = limit === undefined ? topic.config : { ...topic.config, "max.message.bytes": String(limit) };
        return { ...topic, partitions: this.describedPartitions.get(topic.name) ?? topic.partitions, config };
      });
    return new Proxy(inner, {
      get(target, name) {
        if (name === "describeTopics") return describeTopics;
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  }

  /** A generation that was injected as stale has no next one. */
  #wrapGroup(inner: GroupMember): GroupMember {
    return {
      start: () => (this.joinTrouble === undefined ? inner.start() : new Promise(() => undefined)),
      metadata: () => inner.metadata(),
      renewed: (stale) =>
        this.#staleInjected ? Promise.reject(new LogError("stale-generation", "injected: the membership is lost")) : inner.renewed(stale),
      rejoin: () => inner.rejoin(),
      committed: async (partitions) => {
        if (this.offsetsAway !== undefined) throw new LogError(this.offsetsAway, "injected: no offsets");
        return inner.committed(partitions);
      },
      commitOffsets: (offsets) => inner.commitOffsets(offsets),
      trouble: this.joinTrouble,
      leave: () => inner.leave(),
    };
  }

  #wrapPlain(inner: PlainWriter): PlainWriter {
    return {
      send: (...record) => inner.send(...record),
      ready: () => inner.ready(),
      write: async (records) => {
        await this.#trip("write");
        return inner.write(records);
      },
      flush: () => inner.flush(),
      close: () => inner.close(),
    };
  }

  #wrap(inner: TxnWriter): TxnWriter {
    return {
      transactionalId: inner.transactionalId,
      open: async () => {
        if (this.away !== undefined) throw new LogError(this.away, "injected: the log is away");
        return inner.open();
      },
      begin: () => inner.begin(),
      announce: (partitions, groupId) => inner.announce(partitions, groupId),
      write: async (records) => {
        await this.#trip("write");
        return inner.write(records);
      },
      sendOffsets: async (offsets, group) => {
        await this.#trip("offsets");
        return inner.sendOffsets(offsets, group);
      },
      commit: async () => {
        await this.#trip("commit");
        await inner.commit();
        await this.#trip("after-commit");
      },
      abort: () => inner.abort(),
      close: () => inner.close(),
    };
  }
}
