/** What can stand between MQTT broker and Kafka in a rig: our ingress, or a peer in its place for comparison. Each in a process of its own. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cleanup } from "../../support/cleanup.ts";
import { spawnGuarded } from "../../support/child-process.ts";
import { spawnCli } from "../../support/spawn-cli.ts";
import type { JobTopics } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";

export interface BridgeSetup {
  /** Its session at the MQTT broker: the same after a restart. */
  readonly name: string;
  readonly mqttPort: number;
  readonly qos: 1 | 2;
  /** host:port */
  readonly kafka: string;
  readonly topics: JobTopics;
  /** Sections of our ingress's configuration over those of here. */
  readonly config?: Readonly<Record<string, object>>;
}

export interface BridgeProcess {
  /** Resolves when it is subscribed, where it says so: what is published before is for nobody. */
  ready(): Promise<unknown>;
  readonly pid: number;
  /** What it has printed. */
  log(): string;
  stop(): Promise<void>;
  kill(): Promise<void>;
  freeze(): void;
  thaw(): void;
}

export interface BridgeKind {
  readonly name: string;
  /** Protocol it speaks to the broker: 4 is MQTT 3.1.1. */
  readonly mqttVersion: 4 | 5;
  start(t: Cleanup, setup: BridgeSetup): Promise<BridgeProcess>;
}

export const sluice: BridgeKind = {
  name: "sluice",
  mqttVersion: 5,
  async start(t, { name, mqttPort, qos, kafka, topics, config }) {
    const child = await spawnCli(t, ["ingress"], {
      config: {
        ...config,
        kafka: { brokers: [kafka], ...config?.kafka },
        mqtt: { url: `mqtt://127.0.0.1:${mqttPort}`, clientId: name, qos, ...config?.mqtt },
        topics,
      },
    });
    return {
      pid: child.pid,
      ready: () => child.waitForOutput(/ingress takes telemetry/),
      log: () => child.stderr(),
      async stop() {
        const { code } = await child.stop();
        if (code !== 0) throw new Error(`the ingress ended with ${String(code)}: ${child.stderr().slice(-2000)}`);
      },
      async kill() {
        await child.kill("SIGKILL");
      },
      freeze: () => child.freeze(),
      thaw: () => child.thaw(),
    };
  },
};

/**
 * Telegraf, tuned so that nothing is acknowledged before Kafka has it and batches leave after 100 ms.
 *
 * @param command the binary; `go install github.com/influxdata/telegraf/cmd/telegraf@v1.37.2` makes it
 */
export function telegraf(command: string): BridgeKind {
  return peer("telegraf", 4, (setup, dir) => {
    const configFile = join(dir, "telegraf.conf");
    writeFileSync(configFile, telegrafConfig(setup));
    return [command, "--config", configFile];
  });
}

/** @param commandOf what to run; `dir` is its own */
export function peer(name: string, mqttVersion: 4 | 5, commandOf: (setup: BridgeSetup, dir: string) => string[]): BridgeKind {
  return {
    name,
    mqttVersion,
    async start(t, setup) {
      const dir = tempDir(t, name);
      const logFile = join(dir, "log");
      const [command, ...args] = commandOf(setup, dir);
      const child = await spawnGuarded(command, args, { logFile });
      const send = (signal: NodeJS.Signals): void => {
        if (child.running()) process.kill(child.pid, signal);
      };
      const stop = async (): Promise<void> => {
        send("SIGCONT");
        await child.stop();
      };
      t.after(stop);
      return {
        pid: child.pid,
        // It does not say; who counts its records waits for the first.
        ready: () => Promise.resolve(),
        log: () => readFileSync(logFile, "utf8"),
        stop,
        async kill() {
          await child.kill("SIGKILL");
        },
        freeze: () => send("SIGSTOP"),
        thaw: () => send("SIGCONT"),
      };
    },
  };
}

function telegrafConfig({ name, mqttPort, qos, kafka, topics }: BridgeSetup): string {
  return `
[agent]
  interval = "1s"
  flush_interval = "100ms"
  metric_batch_size = 1000
  metric_buffer_limit = 100000
  omit_hostname = true

[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:${mqttPort}"]
  topics = ["t/+/d/+/telemetry"]
  topic_tag = "topic"
  qos = ${qos}
  client_id = "${name}"
  persistent_session = true
  max_undelivered_messages = 5000
  data_format = "value"
  data_type = "string"

[[outputs.kafka]]
  brokers = ["${kafka}"]
  topic = "${topics.raw}"
  routing_tag = "topic"
  required_acks = -1
  data_format = "template"
  template = '{{ .Field "value" }}'
`;
}
