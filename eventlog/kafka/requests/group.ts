/** The classic group protocol's four requests, at the first versions that carry the group instance id (KIP-345). */
import type { KafkaRequest } from "../wire/request.ts";

/** Who speaks, in which generation. */
export interface GroupIdentity {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly instanceId: string | undefined;
}

export interface JoinGroupOptions {
  readonly groupId: string;
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocolName: string;
  readonly metadata: Buffer;
}

export interface JoinGroupResponse {
  readonly errorCode: number;
  readonly generationId: number;
  readonly leaderId: string;
  /** With MEMBER_ID_REQUIRED: the id to join with. */
  readonly memberId: string;
  /** Only the leader gets any. */
  readonly members: readonly { readonly memberId: string; readonly instanceId: string | null; readonly metadata: Buffer }[];
}

export function joinGroupRequest(options: JoinGroupOptions): KafkaRequest<JoinGroupResponse> {
  return {
    apiKey: 11,
    apiVersion: 5,
    name: "JoinGroup",
    flexible: false,
    encode: (writer) => {
      writer.string(options.groupId).int32(options.sessionTimeoutMs).int32(options.rebalanceTimeoutMs);
      writer.string(options.memberId).nullableString(options.instanceId).string(options.protocolType);
      writer.int32(1).string(options.protocolName).bytes(options.metadata);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const errorCode = reader.int16();
      const generationId = reader.int32();
      reader.nullableString(); // protocol
      const leaderId = reader.string();
      const memberId = reader.string();
      const members = reader.array((from) => ({ memberId: from.string(), instanceId: from.nullableString(), metadata: from.bytes() }));
      return { errorCode, generationId, leaderId, memberId, members };
    },
  };
}

export interface SyncGroupResponse {
  readonly errorCode: number;
  readonly assignment: Buffer;
}

/** Only the leader sends assignments. */
export function syncGroupRequest(who: GroupIdentity, assignments: ReadonlyMap<string, Buffer>): KafkaRequest<SyncGroupResponse> {
  return {
    apiKey: 14,
    apiVersion: 3,
    name: "SyncGroup",
    flexible: false,
    encode: (writer) => {
      writer.string(who.groupId).int32(who.generationId).string(who.memberId).nullableString(who.instanceId);
      writer.array([...assignments], (to, [memberId, assignment]) => to.string(memberId).bytes(assignment));
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      return { errorCode: reader.int16(), assignment: reader.bytes() };
    },
  };
}

/** Answers with the error code. */
export function heartbeatRequest(who: GroupIdentity): KafkaRequest<number> {
  return {
    apiKey: 12,
    apiVersion: 3,
    name: "Heartbeat",
    flexible: false,
    encode: (writer) => {
      writer.string(who.groupId).int32(who.generationId).string(who.memberId).nullableString(who.instanceId);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      return reader.int16();
    },
  };
}

/** Answers with the first error code that is not 0. */
export function leaveGroupRequest(groupId: string, memberId: string): KafkaRequest<number> {
  return {
    apiKey: 13,
    apiVersion: 3,
    name: "LeaveGroup",
    flexible: false,
    encode: (writer) => {
      writer.string(groupId).int32(1).string(memberId).nullableString(null);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const errorCode = reader.int16();
      const members = reader.array((from) => {
        from.string();
        from.nullableString();
        return from.int16();
      });
      return errorCode !== 0 ? errorCode : (members.find((code) => code !== 0) ?? 0);
    },
  };
}
