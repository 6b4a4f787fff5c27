/** Plumbing of the event-log contract: unique topics, writing values, reading until something holds. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type {
  EventLog,
  FetchedBatch,
  GroupListener,
  GroupMember,
  GroupMetadata,
  GroupOptions,
  IsolationLevel,
  PartitionOffset,
  RecordHeader,
} from "../../eventlog/port.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";

/** Longest that anything in the contract may take on a slow machine with a real broker. */
export const DEADLINE_MS = 30_000;
/** Between two looks at a condition. */
const POLL_MS = 2;
export const SET_BATCH_BYTES = 900_000;

export function unique(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`;
}

/** A topic that nothing expires from. */
export async function makeTopic(log: EventLog, partitions = 1, config: Record<string, string> = {}): Promise<string> {
  const name = unique("contract");
  assert.deepEqual(await log.admin.createTopics([{ name, partitions, config: { "retention.ms": "-1", ...config } }]), [name]);
  return name;
}

export interface Item {
  readonly key?: string | Buffer | null;
  readonly value: string | Buffer | null;
  readonly timestamp?: number;
  readonly headers?: readonly RecordHeader[];
  readonly partition?: number;
}

export function recordSet(topic: string, items: readonly Item[]): RecordSet {
  const set = new RecordSet(SET_BATCH_BYTES);
  for (const { key = null, value, timestamp = 1_767_225_600_000, headers, partition = 0 } of items) {
    const keyBytes = key === null ? null : Buffer.from(key);
    const valueBytes = value === null ? null : Buffer.from(value);
    set.partition(topic, partition).append(timestamp, keyBytes, 0, keyBytes?.length ?? 0, valueBytes, 0, valueBytes?.length ?? 0, headers);
  }
  return set;
}

export function values(topic: string, ...texts: string[]): RecordSet {
  return recordSet(
    topic,
    texts.map((value) => ({ value })),
  );
}

export interface ReadRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: RecordHeader[];
}

export function recordsOf(batch: FetchedBatch): ReadRecord[] {
  const { records } = batch;
  return Array.from({ length: records.count }, (_, i) => ({
    partition: batch.partition,
    offset: records.offsets[i],
    timestamp: records.timestamps[i],
    key: copy(records.key(i)),
    value: copy(records.value(i)),
    headers: records.headers(i).map(({ key, value }) => ({ key, value: value === null ? null : Buffer.from(value) })),
  }));
}

function copy(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes);
}

/** Reads every given partition from its offset up to the end that listOffsets gives now. */
export async function readToEnd(
  log: EventLog,
  from: readonly PartitionOffset[],
  isolation: IsolationLevel = "read_committed",
): Promise<ReadRecord[]> {
  const ends = await log.admin.listOffsets(from, "latest", isolation);
  const open = new Set(ends.filter((end, i) => end.offset > from[i].offset).map((end) => end.partition));
  const reader = log.reader({ isolation });
  try {
    reader.assign(from);
    const records: ReadRecord[] = [];
    await until("the end of the partitions", async () => {
      if (open.size === 0) return true;
      for (const batch of await reader.poll(200)) {
        records.push(...recordsOf(batch));
        const end = ends.find(({ partition }) => partition === batch.partition);
        if (end !== undefined && batch.nextOffset >= end.offset) open.delete(batch.partition);
      }
      return open.size === 0;
    });
    return records;
  } finally {
    await reader.close();
  }
}

export async function readTexts(log: EventLog, topic: string, isolation: IsolationLevel = "read_committed"): Promise<string[]> {
  return (await readToEnd(log, [{ topic, partition: 0, offset: 0 }], isolation)).map(({ value }) => String(value));
}

/** Polls a condition that waits by itself or comes with the event loop; fails at the deadline. */
export async function until(what: string, holds: () => Promise<boolean> | boolean, deadlineMs = DEADLINE_MS): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `waited ${deadlineMs} ms for ${what}`);
    await delay(POLL_MS);
  }
}

export async function write(log: EventLog, set: RecordSet): Promise<void> {
  const writer = log.plainWriter({});
  try {
    await writer.write(set);
  } finally {
    await writer.close();
  }
}

/**
 * A cooperative member, that notes what it is told. The leader splits `partitions` evenly by member id, and keeps back what another
 * holds; whoever has to give something up joins again when it has.
 */
export class TestMember {
  readonly member: GroupMember;
  readonly events: string[] = [];
  /** What it holds: "0,1", "" for nothing, undefined before the first assignment and after the last. */
  assignment: string | undefined;
  lastMetadata: GroupMetadata | undefined;
  /** What the leader's assignor was shown last. */
  seenUserData: string[] = [];
  /** Giving up partitions waits for it. */
  giveUpGate: Promise<void> = Promise.resolve();
  fatal: Error | undefined;

  constructor(
    log: EventLog,
    t: TestContext,
    options: { groupId: string; partitions: number; userData?: string; instanceId?: string; rebalanceTimeoutMs?: number },
  ) {
    const listener: GroupListener = {
      onAssigned: async (assignment, metadata) => {
        this.lastMetadata = metadata;
        const next = split(assignment.toString());
        const gone = split(this.assignment).filter((partition) => !next.includes(partition));
        if (gone.length > 0) {
          this.events.push(`giving up ${gone.join()}`);
          await this.giveUpGate;
          this.member.rejoin();
        }
        this.assignment = next.join();
        this.events.push(`has ${this.assignment}`);
      },
      onLost: () => {
        this.assignment = undefined;
        this.events.push("lost");
        return Promise.resolve();
      },
      onFatal: (error) => {
        this.fatal = error;
        this.events.push("fatal");
      },
    };
    const groupOptions: GroupOptions = {
      groupId: options.groupId,
      instanceId: options.instanceId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? 20_000,
      heartbeatIntervalMs: 200,
      userData: () => Buffer.from(`${options.userData ?? "u"}|${this.assignment ?? ""}`),
      listener,
      assignor: {
        name: "contract",
        assign: (members) => {
          const said = members.map(({ memberId, userData }) => ({ memberId, said: userData.toString().split("|") }));
          this.seenUserData = said.map((member) => member.said[0]).sort();
          const ids = said.map(({ memberId }) => memberId).sort();
          const entries = ids.map((id, i): [string, Buffer] => {
            const held = said.flatMap((member) => (member.memberId === id ? [] : split(member.said[1])));
            const own = Array.from({ length: options.partitions }, (_, p) => String(p)).filter((p) => Number(p) % ids.length === i);
            return [id, Buffer.from(own.filter((p) => !held.includes(p)).join())];
          });
          return Promise.resolve(new Map(entries));
        },
      },
    };
    this.member = log.group(groupOptions);
    t.after(() => this.member.leave());
  }

  start(): Promise<void> {
    return this.member.start();
  }
}

function split(partitions = ""): string[] {
  return partitions === "" ? [] : partitions.split(",");
}

/** Two partitions, one each. In one generation: who has given its other one up hears of the last round after who got it. */
export function untilShared(a: TestMember, b: TestMember): Promise<void> {
  return until("a part each, in one generation", () => {
    const [first, second] = [a.lastMetadata?.generationId, b.lastMetadata?.generationId];
    return first === second && [a.assignment, b.assignment].sort().join() === "0,1";
  });
}
