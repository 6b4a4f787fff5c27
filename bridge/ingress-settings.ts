/** What the ingress can be told, with defaults. Key names as in the configuration file's `mqtt` section. */
import { BridgeError } from "./errors.ts";
import type { GatewayTimeSettings } from "./gateway-time.ts";

export interface MqttSettings {
  /** `mqtt://`, `mqtts://`, `ws://` or `wss://`. */
  readonly url: string;
  /** Stable: the broker keeps the session, and with it undelivered messages, under this name. */
  readonly clientId: string;
  readonly topics: readonly string[];
  /** On which devices say whether they are there; their retained messages are asked for at each start. */
  readonly stateTopics?: readonly string[];
  /** Unsubscribed, once the others are subscribed: what the session may have from before. With no others the session is only emptied. */
  readonly formerTopics?: readonly string[];
  readonly qos: 0 | 1 | 2;
  /** 4 is MQTT 3.1.1. Default 5: only it lets the client say how many messages may be outstanding. A broker that refuses 5 is asked again with 4. */
  readonly protocolVersion?: 4 | 5;
  readonly username?: string;
  readonly password?: string;
  /** PEM texts, not paths. */
  readonly tls?: TlsTexts;
  /** Over `tls` and `password` at each connection, where they may change meanwhile. */
  readonly refresh?: RefreshedCredentials;
  /** Absent: what gateways say of when they received a message is a header, and no more. */
  readonly trustGatewayTime?: GatewayTimeSettings;
  readonly keepaliveS?: number;
  /** How long the broker keeps the session of an ingress that is away (MQTT 5; with 3.1.1 the broker's own setting decides). */
  readonly sessionExpiryS?: number;
  /** Unacknowledged messages; sent as Receive Maximum with MQTT 5. */
  readonly windowMessages?: number;
  readonly windowBytes?: number;
  readonly qos0Messages?: number;
  readonly qos0Bytes?: number;
  readonly reconnectMinMs?: number;
  readonly reconnectMaxMs?: number;
  /** Until CONNACK, and until the answer to a subscription. */
  readonly connectTimeoutMs?: number;
  /** How long stop() waits for the event log and the broker. */
  readonly stopTimeoutMs?: number;
}

export interface TlsTexts {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

/** A connection that was opened with another version than the present one is ended and opened again; the session stays at the broker. */
export interface RefreshedCredentials {
  version(): number;
  current(): TlsTexts & { readonly password?: string };
}

type Optional = "username" | "password" | "tls" | "refresh" | "trustGatewayTime";
export type ResolvedMqttSettings = Required<Omit<MqttSettings, Optional>> & Pick<MqttSettings, Optional>;

const DEFAULTS = {
  stateTopics: [],
  formerTopics: [],
  protocolVersion: 5,
  keepaliveS: 30,
  // A long weekend and its repair: telemetry waits at the broker as long as its own queue limits allow.
  sessionExpiryS: 7 * 24 * 3600,
  // 2,000 outstanding carry 200,000 messages a second where a write takes 10 ms, the wait for company included.
  windowMessages: 2000,
  windowBytes: 8 * 1024 * 1024,
  qos0Messages: 10_000,
  qos0Bytes: 8 * 1024 * 1024,
  reconnectMinMs: 200,
  reconnectMaxMs: 10_000,
  connectTimeoutMs: 10_000,
  stopTimeoutMs: 10_000,
} as const;

/** Receive Maximum is a two-byte integer [MQTT-3.1.2.11.3]. */
const MAX_WINDOW_MESSAGES = 65_535;

/** Fills in defaults. Throws `bad-settings` naming the key. */
export function resolveMqttSettings(settings: MqttSettings): ResolvedMqttSettings {
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as unknown as MqttSettings;
  const resolved: ResolvedMqttSettings = { ...DEFAULTS, ...given };
  const wrong = (key: string, rule: string): never => {
    throw new BridgeError("bad-settings", `mqtt.${key} ${rule}`);
  };
  if (!/^(mqtts?|wss?):\/\/./.test(resolved.url)) wrong("url", "must start with mqtt://, mqtts://, ws:// or wss://");
  if (resolved.clientId === "") wrong("clientId", "must not be empty: the broker keeps the session under it");
  if (resolved.topics.length + resolved.stateTopics.length + resolved.formerTopics.length === 0)
    wrong("topics", "must name at least one topic filter");
  if (resolved.windowMessages < 1 || resolved.windowMessages > MAX_WINDOW_MESSAGES) wrong("windowMessages", "must be 1 to 65535");
  if (resolved.keepaliveS < 1) wrong("keepaliveS", "must be at least 1: a dead connection is noticed by it");
  if (resolved.reconnectMinMs < 1 || resolved.reconnectMaxMs < resolved.reconnectMinMs)
    wrong("reconnectMaxMs", "must not be below reconnectMinMs");
  return resolved;
}
