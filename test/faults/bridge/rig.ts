/** A bridge between a Mosquitto of its own and a Kafka, with what it takes to disturb each of the three and the ways between them. */
import type { EventLog } from "../../../eventlog/port.ts";
import { BrokerProxy } from "../../support/broker-proxy.ts";
import type { Cleanup } from "../../support/cleanup.ts";
import type { Kafka } from "../../support/kafka.ts";
import { startMosquitto, type Mosquitto } from "../../support/mosquitto.ts";
import { createJobTopics, jobTopics, type JobTopics } from "../../support/telemetry.ts";
import { uniqueName } from "../../support/unique-name.ts";
import { waitFor } from "../../support/wait-for.ts";
import type { BridgeKind, BridgeProcess } from "./bridges.ts";
import { Follower } from "./follower.ts";
import { Load, type LoadPlan } from "./load.ts";
import { MqttTap } from "./mqtt-tap.ts";
import { Tally } from "./tally.ts";

export interface RigOptions {
  readonly bridge: BridgeKind;
  /** With a proxy before it. */
  readonly kafka: Kafka;
  /** To the same Kafka, past the proxy. */
  readonly log: EventLog;
  /** Of the bridge's subscription. */
  readonly qos: 1 | 2;
  /** The MQTT broker forgets all at a restart. */
  readonly volatile?: boolean;
  readonly mosquittoConfig?: readonly string[];
  /** Sections of our ingress's configuration. */
  readonly config?: Readonly<Record<string, object>>;
  /** Replaces the bridge's certificates. */
  readonly rotate?: () => Promise<void>;
}

/** What became of a load's messages. */
export interface Outcome {
  readonly sent: number;
  /** Records of them in the raw topic, and in that of shed messages. */
  readonly raw: number;
  readonly shed: number;
  /** In neither. */
  readonly lost: number;
  /** Of the lost: those that the bridge had acknowledged to the MQTT broker. The others are the broker's loss. Over TLS nobody listens in: 0. */
  readonly lostByBridge: number;
  readonly doubled: number;
  readonly reordered: number;
}

export const PARTITIONS = 4;
/** The first start of a bridge on a busy machine. */
const FIRST_MESSAGE_DEADLINE_MS = 60_000;
const WARM_UP: Omit<LoadPlan, "qos"> = { name: "warmup", tenant: "warmup", devices: 1, perDevice: 6_000, rate: 100 };

export class Rig {
  readonly options: RigOptions;
  readonly mosquitto: Mosquitto;
  readonly mqttProxy: BrokerProxy;
  /** Behind the proxy: an acknowledgement that got lost on the way is none. */
  readonly tap: MqttTap;
  readonly topics: JobTopics;
  readonly shedTopic: string;
  readonly name = uniqueName("bridge");
  readonly raw = new Tally();
  readonly shed = new Tally();
  readonly #t: Cleanup;
  readonly #followers: Follower[] = [];
  #bridge: BridgeProcess | undefined;

  static async start(t: Cleanup, options: RigOptions): Promise<Rig> {
    const mosquitto = await startMosquitto(t, { persistence: options.volatile !== true, config: options.mosquittoConfig });
    const tap = await MqttTap.start(t, mosquitto.port, options.bridge.mqttVersion);
    const rig = new Rig(t, options, mosquitto, await BrokerProxy.start(t, tap.port), tap);
    await rig.#open();
    return rig;
  }

  private constructor(t: Cleanup, options: RigOptions, mosquitto: Mosquitto, mqttProxy: BrokerProxy, tap: MqttTap) {
    this.#t = t;
    this.options = options;
    this.mosquitto = mosquitto;
    this.mqttProxy = mqttProxy;
    this.tap = tap;
    this.topics = jobTopics(this.name);
    this.shedTopic = `${this.name}.shed`;
  }

  get bridge(): BridgeProcess {
    if (this.#bridge === undefined) throw new Error("the bridge was not started");
    return this.#bridge;
  }

  get kafkaProxy(): BrokerProxy {
    return this.options.kafka.proxies[0];
  }

  /** Of the only broker. */
  signalKafka(signal: "SIGSTOP" | "SIGCONT"): void {
    process.kill(this.options.kafka.pids[0], signal);
  }

  async startBridge(): Promise<void> {
    const { bridge, qos, config } = this.options;
    this.#bridge = await bridge.start(this.#t, {
      name: this.name,
      mqttPort: this.mqttProxy.port,
      qos,
      kafka: this.kafkaProxy.address,
      topics: this.topics,
      config: { ...config, admission: { ...config?.admission, shedTopic: this.shedTopic } },
    });
  }

  load(plan: LoadPlan): Load {
    this.raw.expect(plan);
    this.shed.expect(plan);
    const load = new Load(plan, this.mosquitto.port);
    this.#t.after(() => load.close());
    return load;
  }

  /** Resolves when the bridge has written anything more. */
  async carries(): Promise<void> {
    const before = this.raw.records;
    await waitFor("a message comes through the bridge", () => this.raw.records > before, { deadlineMs: FIRST_MESSAGE_DEADLINE_MS });
  }

  outcomeOf({ name, devices, perDevice }: LoadPlan): Outcome {
    const [raw, shed] = [this.raw.of(name), this.shed.of(name)];
    const there = this.raw.distinctWith(this.shed, name);
    const lost = devices * perDevice - there;
    return {
      sent: devices * perDevice,
      raw: raw.records,
      shed: shed.records,
      lost,
      lostByBridge: this.tap.lostOf(name, (identity) => this.raw.has(identity) || this.shed.has(identity)),
      doubled: raw.records + shed.records - there,
      reordered: raw.reordered,
    };
  }

  /** The bridge is stopped, and what it wrote is counted to its end. */
  async finish(): Promise<void> {
    await this.#bridge?.stop();
    await Promise.all(this.#followers.map((follower) => follower.finish()));
  }

  async #open(): Promise<void> {
    const { log, qos } = this.options;
    await createJobTopics(log, this.topics, PARTITIONS);
    await log.admin.createTopics([{ name: this.shedTopic, partitions: PARTITIONS, config: { "retention.ms": "-1" } }]);
    this.#followers.push(await Follower.start(log, this.topics.raw, this.raw), await Follower.start(log, this.shedTopic, this.shed));
    await this.startBridge();
    // Its subscription is there when the first message comes through.
    const warmUp = this.load({ ...WARM_UP, qos });
    await this.carries();
    warmUp.close();
  }
}
