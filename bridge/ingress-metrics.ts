/** The ingress's numbers for Prometheus: read from its counters when scraped, so that a message costs no metric call. */
import type { Registry } from "prom-client";
import type { ReplicaStats } from "./scale-out/replica-stats.ts";
import { ScrapedMetrics } from "./scraped-metrics.ts";

export function registerIngressMetrics(registry: Registry, stats: () => ReplicaStats): void {
  const metrics = new ScrapedMetrics(registry, "sluice_ingress_", stats);
  metrics.counters("received_total", "MQTT messages taken, redeliveries included.", "qos", ({ received }) =>
    Object.fromEntries(received.map((count, qos) => [String(qos), count])),
  );
  metrics.counters("dead_letters_total", "Messages written to the dead-letter topic.", "reason", (now) => now.deadLetters);
  metrics.labelled(
    "admission_total",
    "Messages shed, dropped or delayed. Tenants beyond the first 100 that were limited are one.",
    ["action", "reason", "tenant"],
    ({ admission }) => admission.map(({ count, ...labels }) => ({ labels, count })),
  );
  metrics.counters("gateway_time_total", "Receive times that gateways told, and what became of them.", "outcome", ({ gatewayTime }) => ({
    used: gatewayTime.used,
    ahead: gatewayTime.ahead,
    "too-old": gatewayTime.tooOld,
    unreadable: gatewayTime.unreadable,
  }));
  metrics.counter("written_total", "Raw records durable in the event log.", (now) => now.written);
  metrics.counter("acked_total", "PUBACK and PUBREC packets sent.", (now) => now.acked);
  metrics.counter("shed_total", "QoS 0 messages dropped: buffer full or write failed.", (now) => now.shed);
  metrics.counter("redelivered_total", "QoS 2 messages sent again and recognised.", (now) => now.redelivered);
  metrics.counter("foreign_total", "Messages acknowledged and left to the slot whose device it is.", (now) => now.foreign);
  metrics.counter("write_failures_total", "Writes the event log refused or lost.", (now) => now.writeFailures);
  metrics.counter("reconnects_total", "Attempts to connect to the MQTT broker again.", (now) => now.reconnects);
  metrics.gauge("in_flight", "Messages not yet durable or not yet acknowledged.", (now) => now.inFlight);
  metrics.gauge("in_flight_bytes", "Bytes of messages not yet durable.", (now) => now.inFlightBytes);
  metrics.counter("presence_overflow_total", "Messages of devices beyond presence.maxDevices.", (now) => now.presence.overflow);
  metrics.counter("presence_unreadable_total", "State messages that say neither online nor offline.", (now) => now.presence.unreadable);
  metrics.gauge("presence_devices", "Devices whose presence is followed.", (now) => now.presence.followed);
  metrics.gauge("devices_allowed", "Devices the registry allows, as far as they are kept.", (now) => now.devices.allowed);
  metrics.gauge("devices_denied", "Devices the registry denies.", (now) => now.devices.denied);
  metrics.gauge("connected", "1 while connected to the MQTT broker.", (now) => (now.connected ? 1 : 0));
  metrics.gauge("slots", "Sessions at the MQTT broker that this replica has.", (now) => now.slots);
  metrics.counter("slots_taken_total", "Slots assigned to this replica since it started.", (now) => now.slotsTaken);
  metrics.counter("slots_lost_total", "Slots given up without a hand-over: another replica may have them already.", (now) => now.slotsLost);
}
