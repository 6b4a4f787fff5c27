/**
 * One session's ingress: MQTT telemetry into the raw topic, acknowledged when durable. Puts intake, forwarder and writer together.
 * A process has one or several (scale-out/replica.ts).
 */
import type { Logger } from "pino";
import type { EventLog, PlainWriter } from "../eventlog/port.ts";
import type { AdmissionCount } from "./admission/counts.ts";
import { BadTopicLimit } from "./admission/bad-topics.ts";
import { AdmissionGate } from "./admission/gate.ts";
import { ADMISSION_DEFAULTS, hasLimits, type AdmissionSettings } from "./admission/settings.ts";
import { BridgeError } from "./errors.ts";
import { GatewayTime, type GatewayTimeCounts } from "./gateway-time.ts";
import { Forwarder } from "./forwarder.ts";
import type { Admission } from "./forwarder-parts.ts";
import { resolveMqttSettings, type MqttSettings, type ResolvedMqttSettings } from "./ingress-settings.ts";
import { MqttIntake } from "./mqtt-intake.ts";
import { STATES } from "./presence/formats.ts";
import { Presence, type PresenceOptions } from "./presence/presence.ts";
import { RawHeaders } from "./raw-headers.ts";
import type { DeviceRegistry } from "./registry/device-registry.ts";
import { RouteCache, type Owns } from "./route-cache.ts";
import { rejectionOf } from "./shadow/refused-report.ts";
import type { Rejection } from "./shadow/rejection.ts";
import { routeTargets, type TargetTopics } from "./route-targets.ts";
import { TopicTemplates } from "./topic-templates.ts";
import { within } from "./within.ts";

export interface IngressOptions {
  readonly mqtt: MqttSettings;
  /** Not closed by the ingress. */
  readonly log: EventLog;
  readonly topics: TargetTopics;
  readonly validation: { readonly maxValueBytes: number };
  /** Absent: the design's topic template, and no limits. */
  readonly admission?: AdmissionSettings;
  /** Started, and closed by who gives it. Absent: every device may send. */
  readonly devices?: DeviceRegistry;
  /** Absent: nobody asks whether devices are there. */
  readonly presence?: PresenceOptions;
  /** Who its presence records say follows a device. Default: `mqtt.clientId`; replicas have one for all. */
  readonly presenceId?: string;
  /** Told of reports to shadows that are not let in. Absent: they are counted only. */
  readonly rejected?: (rejection: Rejection) => void;
  /** Absent: all that comes is this ingress' own. */
  readonly owns?: Owns;
  /** Asked after each loss of the connection (IntakeHandlers.whatNext). Absent: it is connected again. */
  readonly whatNext?: (takenOver: boolean) => "connect-again" | "give-up";
  /** Goes into `ingress.id` of every record. */
  readonly ingressId: string;
  readonly logger: Logger;
}

/** Counts since start(). */
export interface IngressStats {
  readonly connected: boolean;
  /** By QoS 0, 1, 2. */
  readonly received: readonly number[];
  readonly written: number;
  readonly acked: number;
  readonly shed: number;
  readonly redelivered: number;
  /** Acknowledged and left to the slot whose device it is. */
  readonly foreign: number;
  readonly deadLetters: Readonly<Record<string, number>>;
  /** Shed, dropped or delayed, by reason and tenant. */
  readonly admission: readonly AdmissionCount[];
  /** Devices whose presence is followed, messages of devices beyond the bound, and states that cannot be read. */
  readonly presence: { readonly followed: number; readonly overflow: number; readonly unreadable: number };
  /** Receive times of gateways: taken, and not (bridge/gateway-time.ts). */
  readonly gatewayTime: Readonly<GatewayTimeCounts>;
  readonly writeFailures: number;
  readonly inFlight: number;
  readonly inFlightBytes: number;
  readonly reconnects: number;
}

/** Devices whose route is remembered: about 500 bytes each, so 100 MiB at the most. */
const MAX_CACHED_TOPICS = 200_000;
/** Under load records gather while the write before them is on its way, so a longer wait carries no more of them and delays all. */
const LINGER_MS = 1;

interface Parts {
  readonly writer: PlainWriter;
  readonly forwarder: Forwarder;
  readonly intake: MqttIntake;
  readonly admission: Admission | undefined;
  readonly badTopics: BadTopicLimit;
  readonly gatewayTime: GatewayTime | undefined;
}

export const NOTHING_YET: IngressStats = {
  connected: false,
  received: [0, 0, 0],
  written: 0,
  acked: 0,
  shed: 0,
  redelivered: 0,
  foreign: 0,
  deadLetters: {},
  admission: [],
  presence: { followed: 0, overflow: 0, unreadable: 0 },
  gatewayTime: { used: 0, ahead: 0, tooOld: 0, unreadable: 0 },
  writeFailures: 0,
  inFlight: 0,
  inFlightBytes: 0,
  reconnects: 0,
};

export class Ingress {
  readonly #options: IngressOptions;
  readonly #mqtt: ResolvedMqttSettings;
  #parts: Parts | undefined;
  #presence: Presence | undefined;
  #stopping: Promise<void> | undefined;

  /** Throws BridgeError `bad-settings`. */
  constructor(options: IngressOptions) {
    this.#options = options;
    this.#mqtt = resolveMqttSettings({ stateTopics: options.presence && STATES.filters(), ...options.mqtt });
  }

  /**
   * Resolves when the broker has the subscription; a broker that is away is tried again with back-off, without end.
   * Rejects when a topic does not exist (LogError `unknown-topic`) or with BridgeError `stopped`.
   */
  async start(): Promise<void> {
    const { log, topics, admission: settings = ADMISSION_DEFAULTS } = this.#options;
    const targets = await routeTargets(log, topics, settings);
    const admission = await this.#admission(settings);
    const { presence, presenceId = this.#mqtt.clientId, owns, logger } = this.#options;
    if (presence !== undefined) {
      this.#presence = new Presence(presence, log, logger, { owns, ingress: presenceId });
      await this.#presence.start();
    }
    if (this.#stopping !== undefined) throw new BridgeError("stopped", "stopped while starting");
    const templates = new TopicTemplates(settings.templates);
    const routes = new RouteCache(targets, MAX_CACHED_TOPICS, templates, presence && STATES, owns);
    this.#parts = this.#assemble(routes, admission, new BadTopicLimit(settings.badTopicRate, () => performance.now()));
    await this.#parts.intake.start();
  }

  /** Takes nothing more, waits for what is in flight, acknowledges it, disconnects (the session stays). Bounded by `stopTimeoutMs`. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop().finally(() => this.#presence?.close());
    return this.#stopping;
  }

  /** As stop(), when the session may be another's already: acknowledges nothing more. */
  abandon(): Promise<void> {
    this.#parts?.intake.cutOff();
    return this.stop();
  }

  stats(): IngressStats {
    if (this.#parts === undefined) return NOTHING_YET;
    const { forwarder, intake, admission, badTopics, gatewayTime } = this.#parts;
    const { deadLetters, received, ...counters } = forwarder.counters;
    return {
      ...counters,
      received: [...received],
      deadLetters: Object.fromEntries(deadLetters),
      admission: [...(admission?.gate.counts.list() ?? []), ...badTopics.counts()],
      presence: {
        followed: this.#presence?.machine.size ?? 0,
        overflow: this.#presence?.machine.overflow ?? 0,
        unreadable: this.#presence?.unreadable ?? 0,
      },
      gatewayTime: gatewayTime === undefined ? NOTHING_YET.gatewayTime : { ...gatewayTime.counts },
      connected: intake.connected,
      inFlight: forwarder.inFlight,
      inFlightBytes: forwarder.inFlightBytes,
      reconnects: intake.reconnects,
    };
  }

  async #admission(settings: AdmissionSettings): Promise<Admission | undefined> {
    const { log, devices } = this.#options;
    if (devices === undefined && !hasLimits(settings)) return undefined;
    const { shedTopic: topic } = settings;
    const partitions = await log.partitionCount(topic);
    return { gate: new AdmissionGate(settings, devices), shed: { topic, partitions }, now: () => performance.now() };
  }

  #assemble(routes: RouteCache, admission: Admission | undefined, badTopics: BadTopicLimit): Parts {
    const { log, validation, ingressId, logger, rejected } = this.#options;
    const { windowMessages, windowBytes, qos0Messages, qos0Bytes, trustGatewayTime } = this.#mqtt;
    const gatewayTime = trustGatewayTime && new GatewayTime(trustGatewayTime);
    const { maxValueBytes } = validation;
    // Both windows fit, each one message over: so the forwarder's own bounds act, and never the writer's.
    const writer = log.plainWriter({ lingerMs: LINGER_MS, maxBufferedBytes: windowBytes + qos0Bytes + 2 * maxValueBytes });
    const intake: MqttIntake = new MqttIntake(
      this.#mqtt,
      {
        take: (message) => forwarder.take(message),
        released: (messageId) => forwarder.released(messageId),
        connectionOpened: (sessionPresent) => {
          forwarder.connectionOpened(sessionPresent);
          this.#presence?.machine.brokerBack();
        },
        connectionLost: () => {
          forwarder.connectionLost();
          this.#presence?.machine.brokerLost();
        },
        whatNext: (takenOver) => this.#options.whatNext?.(takenOver) ?? "connect-again",
      },
      logger,
    );
    const forwarder: Forwarder = new Forwarder({
      writer,
      routes,
      headers: new RawHeaders(ingressId),
      link: intake,
      bounds: { windowMessages, windowBytes, qos0Messages, qos0Bytes, maxValueBytes },
      admission,
      badTopics,
      presence: this.#presence,
      refusedReports: rejected && ((message, route, code) => rejected(rejectionOf(message, route, code))),
      gatewayTime,
    });
    return { writer, forwarder, intake, admission, badTopics, gatewayTime };
  }

  async #stop(): Promise<void> {
    if (this.#parts === undefined) return;
    const { writer, forwarder, intake } = this.#parts;
    const { logger } = this.#options;
    const deadline = Date.now() + this.#mqtt.stopTimeoutMs;
    const left = (): number => Math.max(1, deadline - Date.now());
    intake.pause();
    forwarder.releaseHeld();
    if (!(await within(writer.flush(), left()))) {
      logger.warn({ inFlight: forwarder.inFlight }, "the event log did not take everything in time; the broker will deliver it again");
    }
    forwarder.flushAcks();
    await intake.end(left());
    if (!(await within(writer.close(), left()))) logger.warn("the event log's writer did not close in time");
    logger.info(this.stats(), "ingress stopped");
  }
}
