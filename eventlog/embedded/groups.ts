/** All consumer groups of the log. */
import type { GroupMetadata } from "../port.ts";
import type { CommittedOffsets } from "./committed-offsets.ts";
import { Group } from "./group.ts";

export class Groups {
  readonly offsets: CommittedOffsets;
  readonly #groups = new Map<string, Group>();

  constructor(offsets: CommittedOffsets) {
    this.offsets = offsets;
  }

  group(groupId: string): Group {
    let group = this.#groups.get(groupId);
    if (group === undefined) this.#groups.set(groupId, (group = new Group(groupId)));
    return group;
  }

  isCurrent(member: GroupMetadata): boolean {
    return this.group(member.groupId).isCurrent(member);
  }

  /** Throws `stale-generation`. */
  validate(member: GroupMetadata): void {
    this.group(member.groupId).validate(member);
  }

  close(): void {
    for (const group of this.#groups.values()) group.close();
  }
}
