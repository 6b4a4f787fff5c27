/** The ingress's numbers for Prometheus: read from its counters when scraped, so that a message costs no metric call. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { ReplicaStats } from "./scale-out/replica-stats.ts";

export function registerIngressMetrics(registry: Registry, stats: () => ReplicaStats): void {
  const counter = (name: string, help: string, value: (stats: ReplicaStats) => number): void => {
    new Counter({
      name: `sluice_ingress_${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(value(stats()));
      },
    });
  };
  const gauge = (name: string, help: string, value: (stats: ReplicaStats) => number): void => {
    new Gauge({
      name: `sluice_ingress_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value(stats()));
      },
    });
  };
  new Counter({
    name: "sluice_ingress_received_total",
    help: "MQTT messages taken, redeliveries included.",
    labelNames: ["qos"],
    registers: [registry],
    collect() {
      this.reset();
      stats().received.forEach((count, qos) => this.inc({ qos: String(qos) }, count));
    },
  });
  new Counter({
    name: "sluice_ingress_dead_letters_total",
    help: "Messages written to the dead-letter topic.",
    labelNames: ["reason"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [reason, count] of Object.entries(stats().deadLetters)) this.inc({ reason }, count);
    },
  });
  new Counter({
    name: "sluice_ingress_admission_total",
    help: "Messages shed, dropped or delayed. Tenants beyond the first 100 that were limited are one.",
    labelNames: ["action", "reason", "tenant"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { action, reason, tenant, count } of stats().admission) this.inc({ action, reason, tenant }, count);
    },
  });
  counter("written_total", "Raw records durable in the event log.", (now) => now.written);
  counter("acked_total", "PUBACK and PUBREC packets sent.", (now) => now.acked);
  counter("shed_total", "QoS 0 messages dropped: buffer full or write failed.", (now) => now.shed);
  counter("redelivered_total", "QoS 2 messages sent again and recognised.", (now) => now.redelivered);
  counter("foreign_total", "Messages acknowledged and left to the slot whose device it is.", (now) => now.foreign);
  counter("write_failures_total", "Writes the event log refused or lost.", (now) => now.writeFailures);
  counter("reconnects_total", "Attempts to connect to the MQTT broker again.", (now) => now.reconnects);
  gauge("in_flight", "Messages not yet durable or not yet acknowledged.", (now) => now.inFlight);
  gauge("in_flight_bytes", "Bytes of messages not yet durable.", (now) => now.inFlightBytes);
  counter("presence_overflow_total", "Messages of devices beyond presence.maxDevices.", (now) => now.presence.overflow);
  counter("presence_unreadable_total", "State messages that say neither online nor offline.", (now) => now.presence.unreadable);
  gauge("presence_devices", "Devices whose presence is followed.", (now) => now.presence.followed);
  gauge("devices_allowed", "Devices the registry allows, as far as they are kept.", (now) => now.devices.allowed);
  gauge("devices_denied", "Devices the registry denies.", (now) => now.devices.denied);
  gauge("connected", "1 while connected to the MQTT broker.", (now) => (now.connected ? 1 : 0));
  gauge("slots", "Sessions at the MQTT broker that this replica has.", (now) => now.slots);
  counter("slots_taken_total", "Slots assigned to this replica since it started.", (now) => now.slotsTaken);
  counter("slots_lost_total", "Slots given up without a hand-over: another replica may have them already.", (now) => now.slotsLost);
}
