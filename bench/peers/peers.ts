/** Bridges that only bench/ingress.ts runs. */
import { fileURLToPath } from "node:url";
import { peer, type BridgeKind } from "../../test/faults/bridge/bridges.ts";

/** QoS 1 only. */
export const nodeSketch: BridgeKind = peer("node-sketch", 5, ({ name, mqttPort, kafka, topics }) => [
  process.execPath,
  fileURLToPath(new URL("./node-sketch.ts", import.meta.url)),
  `mqtt://127.0.0.1:${mqttPort}`,
  name,
  kafka,
  topics.raw,
]);
