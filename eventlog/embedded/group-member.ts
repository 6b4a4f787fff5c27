/** The port's GroupMember over the in-process coordinator: alive as long as the process, so no heartbeats. */
import { LogError } from "../errors.ts";
import type { CommittedOffset, GroupMember, GroupMetadata, GroupOptions, TopicPartition } from "../port.ts";
import type { GroupSeat } from "./group-seat.ts";
import type { Groups } from "./groups.ts";

export class EmbeddedGroupMember implements GroupMember {
  /** What fails in one process does not pass: it is thrown. */
  readonly trouble = undefined;
  readonly #groups: Groups;
  readonly #options: GroupOptions;
  #seat: GroupSeat | undefined;

  constructor(groups: Groups, options: GroupOptions) {
    this.#groups = groups;
    this.#options = options;
  }

  async start(): Promise<void> {
    if (this.#seat !== undefined) throw new LogError("invalid-state", "start() of a group member that was started before");
    this.#seat = this.#groups.group(this.#options.groupId).join(this.#options);
    await this.#seat.firstAssigned;
  }

  metadata(): GroupMetadata {
    return this.#started().generations.current;
  }

  // async: every refusal is a rejection
  async renewed(stale: GroupMetadata): Promise<void> {
    await this.#started().generations.renewed(stale);
  }

  rejoin(): void {
    this.#started();
    this.#groups.group(this.#options.groupId).rebalance();
  }

  // async: every refusal is a rejection
  async committed(partitions: readonly TopicPartition[]): Promise<readonly CommittedOffset[]> {
    return this.#groups.offsets.getStable(this.#options.groupId, partitions);
  }

  async commitOffsets(offsets: readonly CommittedOffset[]): Promise<void> {
    const { generations } = this.#started();
    while (!this.#groups.isCurrent(generations.current)) await generations.renewed(generations.current);
    await this.#groups.offsets.commit(this.#options.groupId, offsets);
  }

  // async: the port's shape; in one process leaving is immediate
  async leave(): Promise<void> {
    if (this.#seat !== undefined) this.#groups.group(this.#options.groupId).leave(this.#seat);
  }

  #started(): GroupSeat {
    if (this.#seat === undefined) throw new LogError("invalid-state", "the group member was not started");
    return this.#seat;
  }
}
