/** What can happen to a bridge, and how it is done. */
import { setTimeout as lasts } from "node:timers/promises";
import { waitFor } from "../../support/wait-for.ts";
import type { Load } from "./load.ts";
import type { Rig } from "./rig.ts";

/** How long each lasts, ms: `short` is CI's, `long` that of the soak. */
export type Scale = "short" | "long";

export interface Fault {
  /** At which shares of the load it strikes. */
  readonly at: readonly number[];
  readonly strike: (rig: Rig, load: Load, scale: Scale) => Promise<void>;
  /** The MQTT broker keeps nothing over a restart. */
  readonly volatile?: boolean;
  /** TLS with client certificates, to both brokers. */
  readonly secure?: boolean;
  /** Each device has a connection of its own: so many devices. */
  readonly connections?: Readonly<Record<Scale, number>>;
}

const THRICE = [0.2, 0.4, 0.6];
const ONCE = [0.3];

export const FAULTS = {
  none: { at: [], strike: () => Promise.resolve() },
  "bridge-kill": {
    at: [0.1, 0.3, 0.5, 0.7],
    strike: async (rig) => {
      await rig.bridge.kill();
      await rig.startBridge();
      await rig.carries();
    },
  },
  // Longer than the MQTT broker waits for a sign of life: it ends the connection, and the bridge finds old packets when it wakes.
  "bridge-freeze": {
    at: ONCE,
    strike: async (rig, _load, scale) => {
      rig.bridge.freeze();
      await lasts({ short: 2_000, long: 20_000 }[scale]);
      rig.bridge.thaw();
    },
  },
  "kafka-freeze": {
    at: ONCE,
    strike: async (rig, _load, scale) => {
      rig.signalKafka("SIGSTOP");
      await lasts({ short: 3_000, long: 15_000 }[scale]);
      rig.signalKafka("SIGCONT");
    },
  },
  "kafka-freeze-kill": {
    at: ONCE,
    strike: async (rig) => {
      rig.signalKafka("SIGSTOP");
      await lasts(2_000);
      await rig.bridge.kill();
      await lasts(1_000);
      rig.signalKafka("SIGCONT");
      await rig.startBridge();
    },
  },
  "kafka-restart": {
    at: ONCE,
    strike: async ({ options: { kafka } }) => {
      await kafka.stop();
      await kafka.restart();
    },
  },
  "mqtt-restart": {
    at: THRICE,
    strike: async ({ mosquitto }) => {
      await mosquitto.stop();
      await mosquitto.restart();
    },
  },
  "mqtt-restart-volatile": {
    at: THRICE,
    volatile: true,
    strike: async ({ mosquitto }) => {
      await mosquitto.stop();
      await mosquitto.restart();
    },
  },
  "mqtt-cut": {
    at: THRICE,
    strike: async ({ mqttProxy }, _load, scale) => {
      mqttProxy.refuse();
      await lasts({ short: 300, long: 3_000 }[scale]);
      mqttProxy.calm();
    },
  },
  "kafka-cut": {
    at: THRICE,
    strike: async ({ kafkaProxy }, _load, scale) => {
      kafkaProxy.refuse();
      await lasts({ short: 300, long: 3_000 }[scale]);
      kafkaProxy.calm();
    },
  },
  // Nothing passes and nothing closes, for longer than either side waits; then everything that was held back comes late.
  "mqtt-half-open": {
    at: ONCE,
    strike: async ({ mqttProxy }, _load, scale) => {
      mqttProxy.shape("both", { stalled: true });
      await lasts({ short: 3_500, long: 30_000 }[scale]);
      mqttProxy.calm();
    },
  },
  "kafka-half-open": {
    at: ONCE,
    strike: async ({ kafkaProxy }, _load, scale) => {
      kafkaProxy.shape("both", { stalled: true });
      await lasts({ short: 3_500, long: 30_000 }[scale]);
      kafkaProxy.calm();
    },
  },
  // 200 ms there and back, and 1.3 MB/s: less than the load for most of it.
  "kafka-slow": {
    at: [0.05],
    strike: async ({ kafkaProxy }, load) => {
      kafkaProxy.shape("both", { latencyMs: 100 });
      kafkaProxy.shape("up", { pieceBytes: 13_000, pieceEveryMs: 10 });
      await load.reached(0.8);
      kafkaProxy.calm();
    },
  },
  "certificates-rotated": {
    at: THRICE,
    secure: true,
    strike: async ({ options: { rotate }, bridge }) => {
      const before = reconnectsOf(bridge.log());
      await rotate?.();
      await waitFor("the bridge connects with the new certificate", () => reconnectsOf(bridge.log()) > before, { deadlineMs: 60_000 });
    },
  },
  // Its loads are the fault: one tenant at fifty times its limit, others within theirs.
  "noisy-tenant": { at: [], strike: () => Promise.resolve() },
  "reconnect-storm": {
    at: THRICE,
    connections: { short: 500, long: 5_000 },
    strike: async (_rig, load) => {
      load.reconnectAll();
      await waitFor("the storm has begun", () => load.connected < 10, { intervalMs: 1 });
    },
  },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULTS;

function reconnectsOf(log: string): number {
  return log.split("new mqtt credentials: connecting again").length;
}
