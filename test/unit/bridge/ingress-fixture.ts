import { pino } from "pino";
import { Registry } from "prom-client";
import type { MqttSettings } from "../../../bridge/ingress-settings.ts";
import { registerIngressMetrics } from "../../../bridge/ingress-metrics.ts";
import { Ingress, type IngressOptions } from "../../../bridge/ingress.ts";
import type { EventLog } from "../../../eventlog/port.ts";
import type { Cleanup } from "../../support/cleanup.ts";

/** An ingress with settings fit for tests, stopped after the test. Not started. */
export function makeIngress(
  t: Cleanup,
  log: EventLog,
  mqtt: Partial<MqttSettings> & { url: string },
  registry = new Registry(),
  more: Partial<IngressOptions> = {},
): Ingress {
  const ingress = new Ingress({
    mqtt: {
      clientId: "ingress-test",
      topics: ["t/+/d/+/telemetry"],
      qos: 2,
      reconnectMinMs: 20,
      reconnectMaxMs: 200,
      stopTimeoutMs: 2000,
      ...mqtt,
    },
    log,
    topics: { raw: "raw", dlq: "dlq" },
    validation: { maxValueBytes: 100_000 },
    ingressId: "ingress-test",
    logger: pino({ level: process.env.SLUICE_TEST_LOG ?? "silent" }),
    ...more,
  });
  registerIngressMetrics(registry, () => ({
    ...ingress.stats(),
    devices: { allowed: 0, denied: 0 },
    slots: 1,
    slotsTaken: 1,
    slotsLost: 0,
  }));
  t.after(() => ingress.stop());
  return ingress;
}
