/** The gateway's numbers for Prometheus: read from its counters when scraped. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { GatewayStats } from "./gateway.ts";

export function registerGatewayMetrics(registry: Registry, stats: () => GatewayStats): void {
  const counter = (name: string, help: string, value: (stats: GatewayStats) => number): void => {
    new Counter({
      name: `sluice_gateway_${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(value(stats()));
      },
    });
  };
  const gauge = (name: string, help: string, value: (stats: GatewayStats) => number): void => {
    new Gauge({
      name: `sluice_gateway_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value(stats()));
      },
    });
  };
  const labelled = (name: string, help: string, label: string, values: (stats: GatewayStats) => Readonly<Record<string, number>>): void => {
    new Counter({
      name: `sluice_gateway_${name}`,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(values(stats()))) this.inc({ [label]: value }, count);
      },
    });
  };
  labelled("received_total", "Messages of devices.", "qos", ({ devices }) =>
    Object.fromEntries(devices.received.map((count, qos) => [String(qos), count])),
  );
  labelled("dropped_total", "Messages given up: store full, too old, or refused upstream.", "reason", (now) => now.store.dropped);
  counter("acked_total", "QoS 1 and 2 messages acknowledged to devices.", (now) => now.devices.acked);
  counter("refused_total", "Messages not taken: store or disk full, and the policy is to refuse.", (now) => now.store.refused);
  counter("shed_total", "QoS 0 messages among them.", (now) => now.devices.shed);
  counter("denied_total", "Messages on a topic that is not the device's.", (now) => now.devices.denied);
  counter("refused_connections_total", "Connections refused: password, certificate, or too many.", (now) => now.devices.refusedConnections);
  counter("protocol_errors_total", "Packets that are none, too large, or against the protocol.", (now) => now.devices.protocolErrors);
  counter("stored_total", "Messages written to the store.", (now) => now.store.stored);
  counter("forwarded_total", "Messages durable upstream.", (now) => now.store.forwarded);
  counter("uplink_failures_total", "Attempts upstream that failed.", (now) => now.uplink.failures);
  gauge("connections", "Connections of devices.", (now) => now.connections);
  gauge("store_messages", "Messages stored and not forwarded.", (now) => now.store.messages);
  gauge("store_bytes", "Their bytes.", (now) => now.store.bytes);
  gauge(
    "store_oldest_timestamp_seconds",
    "When the oldest of them was received; 0: there are none.",
    (now) => (now.store.oldestTs ?? 0) / 1000,
  );
  gauge("store_open", "1 while the store can be written.", (now) => (now.store.state === "open" && !now.store.diskFull ? 1 : 0));
  gauge("uplink_up", "1 while the uplink takes messages.", (now) => (now.uplink.up ? 1 : 0));
}
