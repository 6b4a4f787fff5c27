/**
 * The short form of the bridge's fault matrix (long: `npm run soak:bridge-faults`): `sluice ingress` between Mosquitto and Kafka, faults
 * of all three and of the ways between them, QoS 1 and 2 side by side.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../../eventlog/kafka/kafka-log.ts";
import { startKafka } from "../../support/kafka.ts";
import { need } from "../../support/need.ts";
import { sluice } from "./bridges.ts";
import { runCell } from "./cell.ts";
import { dedupe } from "./dedupe.ts";
import type { FaultName } from "./faults.ts";
import type { LoadPlan } from "./load.ts";
import { ADMISSION, plansFor, type LoadSize } from "./plans.ts";
import { Rig } from "./rig.ts";

const skip = await need("kafka", "mosquitto");
const SIZE: LoadSize = { messages: 1_500, devices: 30, rate: 1_500 };
/** For as long as four processes take to start, and a broker that forgets three times. */
const LONGER: LoadSize = { messages: 6_000, devices: 30, rate: 1_000 };
const FORGETFUL: FaultName = "mqtt-restart-volatile";
const IN_TURN: readonly FaultName[] = [
  "bridge-kill",
  "bridge-freeze",
  "kafka-freeze",
  "kafka-restart",
  "kafka-cut",
  "kafka-half-open",
  "kafka-slow",
  "mqtt-restart",
  "mqtt-cut",
  "mqtt-half-open",
  "reconnect-storm",
  "noisy-tenant",
];
/** A half-open connection is noticed within seconds. */
const CONFIG = { kafka: { requestTimeoutMs: 2_000 }, mqtt: { keepaliveS: 2 }, admission: ADMISSION };

const plansOf = (fault: FaultName): LoadPlan[] =>
  ([1, 2] as const).flatMap((qos) => plansFor(fault, qos, fault === "bridge-kill" || fault === FORGETFUL ? LONGER : SIZE, "short"));

test("faults around the bridge", { skip, timeout: 240_000 }, async (t) => {
  const kafka = await startKafka(t, { proxied: true });
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "bridge-matrix", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  const options = { bridge: sluice, kafka, log, qos: 2, config: CONFIG } as const;
  const [rig, volatile] = await Promise.all([Rig.start(t, options), Rig.start(t, { ...options, volatile: true })]);

  // Beside the first of the others, which is no fault of Kafka either.
  const forgetful = runCell(volatile, FORGETFUL, plansOf(FORGETFUL), "short").finally(() => volatile.finish());
  forgetful.catch(() => undefined); // awaited below

  async function strike(t: TestContext, on: Rig, fault: FaultName): Promise<void> {
    const seconds = await (fault === FORGETFUL ? forgetful : runCell(on, fault, plansOf(fault), "short"));
    for (const plan of plansOf(fault)) {
      const outcome = on.outcomeOf(plan);
      t.diagnostic(`${plan.name}, ${seconds.toFixed(1)} s: ${JSON.stringify(outcome)}`);
      const lost = fault === FORGETFUL ? outcome.lostByBridge : outcome.lost;
      assert.deepEqual([lost, outcome.reordered], [0, 0], `${plan.name}: [lost, out of order]`);
    }
  }

  for (const fault of IN_TURN) {
    await t.test(`${fault}: nothing is lost and each device's messages come in order, at QoS 1 and 2`, (t) => strike(t, rig, fault));
    if (fault !== IN_TURN[0]) continue;
    await t.test("an MQTT broker that forgets all at a restart: what the bridge acknowledged is in the log, in order", (t) =>
      strike(t, volatile, FORGETFUL),
    );
  }

  await t.test("the job has each message once, and in order", async (t) => {
    await rig.finish();
    const plans = IN_TURN.filter((fault) => fault !== "noisy-tenant").flatMap(plansOf);
    const normalized = await dedupe(t, kafka, rig, plans);
    for (const { name } of plans) {
      const { lost, doubled, reordered } = normalized.of(name);
      assert.deepEqual([lost, doubled, reordered], [0, 0, 0], `${name}: [lost, doubled, out of order]`);
    }
  });
});
