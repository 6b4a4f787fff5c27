/**
 * What carries MQTT to Kafka, on the same Kafka in one run: how fast a queue that waits at Mosquitto is drained, per second and per CPU
 * second of the bridge's processes, and how long a message takes at a steady rate. Our ingress, and peers beside it.
 *
 *     npm run bench:ingress -- [--bridge sluice,telegraf,node-sketch] [--telegraf PATH] [--messages 200000] [--rate 2000] [--warm-up 15]
 *         [--seconds 20] [--rounds 2] [--replicas 1] [--config '{"mqtt":{...}}'] [--qos 1] [--clients 50] [--devices 1000] [--tenants 1] [--admission]
 *
 * `--replicas` and `--config` are for our ingress: so many processes, each with these sections over the usual ones, in which `{replica}`
 * (from 0) and `{replicas}` are filled in. `--admission` adds our ingress as it checks each message: rounds alternate between it without and
 * with limits of tenant, device and payload that nothing comes near to, and an open registry. Telegraf: `go install github.com/influxdata/telegraf/cmd/telegraf@v1.37.2`.
 */
import { parseArgs } from "node:util";
import { sluice, telegraf, type BridgeKind } from "../test/faults/bridge/bridges.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import { benchKafka } from "./bench-kafka.ts";
import { conditions } from "./conditions.ts";
import { drain, latency, type DrainFigures, type LatencyFigures, type Pace, type Setting } from "./ingress-phases.ts";
import { nodeSketch } from "./peers/peers.ts";
import { report } from "./report.ts";
import { withCleanup } from "./with-cleanup.ts";

const { values } = parseArgs({
  options: {
    bridge: { type: "string", default: "sluice" },
    telegraf: { type: "string", default: "telegraf" },
    messages: { type: "string", default: "200000" },
    rate: { type: "string", default: "2000" },
    seconds: { type: "string", default: "20" },
    "warm-up": { type: "string", default: "15" },
    rounds: { type: "string", default: "2" },
    replicas: { type: "string", default: "1" },
    config: { type: "string", default: "{}" },
    qos: { type: "string", default: "1" },
    clients: { type: "string", default: "50" },
    devices: { type: "string", default: "1000" },
    tenants: { type: "string", default: "1" },
    admission: { type: "boolean", default: false },
  },
});

interface Contender {
  readonly bridge: string;
  readonly kind: BridgeKind;
  readonly isOurs: boolean;
  readonly admission: boolean;
}

const KINDS: readonly BridgeKind[] = [sluice, telegraf(values.telegraf), nodeSketch];

const contenders = values.bridge.split(",").flatMap((bridge): Contender[] => {
  const kind = KINDS.find(({ name }) => name === bridge);
  if (kind === undefined) throw new Error(`--bridge ${bridge}: one of ${KINDS.map(({ name }) => name).join(", ")}`);
  const isOurs = kind === sluice;
  const plain = { bridge, kind, isOurs, admission: false };
  return isOurs && values.admission ? [plain, { ...plain, bridge: `${bridge}, admission`, admission: true }] : [plain];
});

/** The rounds alternate between the bridges: what the machine does meanwhile meets both. */
async function main(cleanup: Cleanup): Promise<void> {
  const { kafka, log } = await benchKafka(cleanup, { heapMiB: 768, config: {} });
  const pace: Pace = { rate: Number(values.rate), warmUpSeconds: Number(values["warm-up"]), seconds: Number(values.seconds) };
  const results: ({ readonly bridge: string } & DrainFigures & LatencyFigures)[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const { bridge, kind, isOurs, admission } of contenders) {
      const setting: Setting = {
        kind,
        log,
        kafka: kafka.bootstrapServers,
        replicas: isOurs ? Number(values.replicas) : 1,
        config: values.config,
        admission,
        qos: values.qos === "2" ? 2 : 1,
        clients: Number(values.clients),
        devices: Number(values.devices),
        tenants: Number(values.tenants),
      };
      const drained = await withCleanup((t) => drain(t, setting, Number(values.messages)));
      const paced = await withCleanup((t) => latency(t, setting, pace));
      results.push({ bridge, ...drained, ...paced });
    }
  }
  report.table(results);
  report.log(JSON.stringify({ bench: "ingress", ...conditions(values), results }));
}

await withCleanup(main);
