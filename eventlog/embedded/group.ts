/**
 * One consumer group's coordinator. A rebalance: every member is through with the assignment before (awaited, each within the
 * group's rebalance time-out), the generation rises, the leader assigns by what the members say then, every member is told.
 * Changes that come in between make another round.
 */
import { randomUUID } from "node:crypto";
import { LogError } from "../errors.ts";
import type { GroupMetadata, GroupOptions } from "../port.ts";
import { GroupSeat } from "./group-seat.ts";

const NOTHING = Buffer.alloc(0);

export class Group {
  readonly groupId: string;
  readonly #seats = new Map<string, GroupSeat>();
  #generationId = 0;
  #wanted = false;
  #rebalancing = false;
  #closed = false;

  constructor(groupId: string) {
    this.groupId = groupId;
  }

  /** A static member that comes back gets its old assignment, whatever it says now, and nobody else notices (KIP-345). */
  join(options: GroupOptions): GroupSeat {
    const seat = new GroupSeat(options, newMemberId(options));
    seat.userData = options.userData();
    const before = options.instanceId === undefined ? undefined : this.#byInstance(options.instanceId);
    this.#seats.set(seat.memberId, seat);
    if (before === undefined) {
      this.rebalance();
      return seat;
    }
    this.#seats.delete(before.memberId);
    if (before.away) before.end();
    else before.fatal(new LogError("fenced", `another member joined group ${this.groupId} as instance ${options.instanceId ?? ""}`));
    if (this.#rebalancing || this.#wanted || before.assignment === undefined) this.rebalance();
    else {
      seat.joined(this.#generationId);
      seat.assign(before.assignment);
    }
    return seat;
  }

  /** Dynamic members go at once, static ones when their session ends without a return. */
  leave(seat: GroupSeat): void {
    if (seat.away) return;
    if (this.#seats.get(seat.memberId) !== seat) {
      seat.end(); // fenced, or about to come back after it was expelled
      return;
    }
    if (seat.options.instanceId === undefined) {
      this.#remove(seat);
      return;
    }
    seat.end();
    seat.away = true;
    seat.awayTimer = setTimeout(() => this.#remove(seat), seat.options.sessionTimeoutMs);
    seat.awayTimer.unref();
  }

  /** Asks for a round; more asking while one is under way makes one more. */
  rebalance(): void {
    this.#wanted = true;
    if (this.#rebalancing) return;
    this.#rebalancing = true;
    void this.#run();
  }

  /** A member of the current generation, or a stand-alone commit to an empty group. */
  isCurrent(member: GroupMetadata): boolean {
    if (member.generationId < 0 && this.#seats.size === 0) return true;
    const seat = this.#seats.get(member.memberId);
    return seat !== undefined && member.generationId === this.#generationId && seat.options.instanceId === member.instanceId;
  }

  /** Throws `stale-generation` unless isCurrent. */
  validate(member: GroupMetadata): void {
    if (this.isCurrent(member)) return;
    const current = `generation ${this.#generationId} of group ${this.groupId}`;
    throw new LogError("stale-generation", `member ${member.memberId} of generation ${member.generationId} is not in ${current}`);
  }

  get memberIds(): string[] {
    return [...this.#seats.keys()];
  }

  close(): void {
    this.#closed = true;
    for (const seat of this.#seats.values()) seat.end();
    this.#seats.clear();
  }

  async #run(): Promise<void> {
    // Members that join in one go (workers of one process) share a round.
    await Promise.resolve();
    while (this.#wanted && !this.#closed && this.#seats.size > 0) {
      this.#wanted = false;
      await this.#allIdle();
      await this.#assignAll();
    }
    this.#rebalancing = false; // in the same turn as the check above, so that no request falls in between
  }

  async #allIdle(): Promise<void> {
    const seats = [...this.#seats.values()].filter((seat) => !seat.away);
    if (seats.length === 0) return;
    const timeoutMs = Math.max(...seats.map((seat) => seat.options.rebalanceTimeoutMs));
    const late = new Set(seats);
    const timeUp = Promise.withResolvers<void>();
    const timer = setTimeout(() => timeUp.resolve(), timeoutMs);
    const idle = seats.map(async (seat) => {
      await seat.idle;
      late.delete(seat);
    });
    await Promise.race([Promise.all(idle), timeUp.promise]);
    clearTimeout(timer);
    for (const seat of late) this.#expel(seat, timeoutMs);
  }

  async #assignAll(): Promise<void> {
    const seats = [...this.#seats.values()];
    // A static member that is away cannot lead, and is assigned by what it said last.
    const leader = seats.find((seat) => !seat.away);
    if (leader === undefined) return;
    this.#generationId++;
    for (const seat of seats) if (!seat.away && !this.#askUserData(seat)) return;
    for (const seat of seats) if (!seat.away) seat.joined(this.#generationId);
    let assignments: Map<string, Buffer>;
    try {
      assignments = await leader.options.assignor.assign(
        seats.map(({ memberId, userData, options: { instanceId } }) => ({
          memberId,
          userData,
          ...(instanceId === undefined ? {} : { instanceId }),
        })),
      );
    } catch (error) {
      leader.fatal(error as Error);
      this.#remove(leader);
      return;
    }
    if (this.#wanted || this.#closed) return;
    for (const seat of seats) seat.assign(assignments.get(seat.memberId) ?? NOTHING);
  }

  /** False when the member failed at it and is out; that asks for another round. */
  #askUserData(seat: GroupSeat): boolean {
    try {
      seat.userData = seat.options.userData();
      return true;
    } catch (error) {
      seat.fatal(error as Error);
      this.#remove(seat);
      return false;
    }
  }

  /** It held the others up for longer than agreed: they go on without it. When it has noticed, it starts anew as another member. */
  #expel(seat: GroupSeat, timeoutMs: number): void {
    if (this.#seats.get(seat.memberId) !== seat) return;
    this.#seats.delete(seat.memberId);
    const lost = seat.lost(
      new LogError("stale-generation", `the member was not through with its assignment within ${timeoutMs} ms and lost it`),
    );
    void lost.then(() => {
      if (seat.ended || this.#closed) return;
      seat.memberId = newMemberId(seat.options);
      this.#seats.set(seat.memberId, seat);
      this.rebalance();
    });
  }

  #remove(seat: GroupSeat): void {
    if (this.#seats.get(seat.memberId) === seat) this.#seats.delete(seat.memberId);
    seat.end();
    if (this.#seats.size > 0) this.rebalance();
  }

  #byInstance(instanceId: string): GroupSeat | undefined {
    for (const seat of this.#seats.values()) if (seat.options.instanceId === instanceId) return seat;
    return undefined;
  }
}

function newMemberId(options: GroupOptions): string {
  return `${options.instanceId ?? options.groupId}-${randomUUID()}`;
}
