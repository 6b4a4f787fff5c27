/** What the API is given; everything it reads or writes comes through here. */
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { Command, KnownCommand } from "../processors/formats/commands.ts";
import type { ShadowBounds, ShadowRequest } from "../processors/formats/shadow.ts";
import type { Feed, FeedRecord, Queries } from "../runtime/queries.ts";
import type { TokenSources } from "./auth.ts";

/** Names of the output topics that `/v1/stream` tells of. */
export interface StreamTopics {
  readonly normalized: string;
  readonly aggregates: string;
  readonly alerts: string;
}

/** The way to devices: takes commands, and knows what became of them. */
export interface CommandGate {
  /** How long a command is good for when its sender does not say, ms. */
  readonly expiresInMs: number;
  /** Resolves when the log has it. */
  send(command: Command): Promise<void>;
  /** Undefined when nothing of it is remembered. */
  status(tenant: string, deviceId: string, id: string): Promise<KnownCommand | undefined>;
  /** Of those that are remembered, the `limit` that something became of last, newest first. */
  newest(tenant: string, deviceId: string, limit: number): Promise<readonly KnownCommand[]>;
}

/** Whether a device is there, as whoever follows it told last. Times are epoch ms. */
export interface DevicePresence {
  readonly status: "online" | "offline" | "stale";
  /** `telemetry`, `state`, `silence`, or the device's own word for it. */
  readonly reason: string;
  readonly sinceTs: number;
  /** As of the change; 0: never heard itself. */
  readonly lastSeenTs: number;
  /** The change came by a retained message. */
  readonly retained: boolean;
  /** Who follows it: one of the two, or neither in records of before. */
  readonly gateway?: string;
  readonly ingress?: string;
}

export interface PresenceGate {
  /** At once, of this worker's own copy of the topic. Null: none was ever told of. Undefined: the topic is not read yet. */
  of(tenant: string, deviceId: string): DevicePresence | null | undefined;
}

/** The way to devices' shadows; reading them is a query. */
export interface ShadowGate {
  readonly bounds: ShadowBounds;
  /** Resolves when the log has it. */
  send(request: ShadowRequest): Promise<void>;
}

/** Without a token of either kind only loopback is served. */
export interface ApiOptions extends TokenSources {
  readonly queries: Queries;
  readonly feed: Feed;
  readonly registry: Registry;
  readonly topics: StreamTopics;
  /** Absent: commands are refused. */
  readonly commands?: CommandGate;
  /** Absent: there are no shadows. */
  readonly shadow?: ShadowGate;
  /** Absent: nothing is said of who is there. */
  readonly presence?: PresenceGate;
  /** The URL others reach this worker under; its host passes the Host check. */
  readonly advertised?: string;
  /** True when every task that this worker was given runs. */
  readonly ready: () => boolean;
  readonly logger: Logger;
  /** Sluice's version, shown in `/openapi.json` and `/health/live`. */
  readonly version: string;
  /** JSON text of an output record, where outputs are not JSON (Avro). Undefined: not decodable, counted and left out of the stream. Default: the value's own text. */
  readonly recordText?: (record: FeedRecord) => string | undefined;
  /** Time-out of one request to another worker. Default 3000 ms: well below what a person or a load balancer waits. */
  readonly peerTimeoutMs?: number;
  /** Open streams at most. Default 64: each may hold 256 KiB of unsent events. */
  readonly maxStreams?: number;
}
