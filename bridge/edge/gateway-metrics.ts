/** The gateway's numbers for Prometheus: read from its counters when scraped. */
import type { Registry } from "prom-client";
import { ScrapedMetrics } from "../scraped-metrics.ts";
import type { GatewayStats } from "./gateway.ts";

export function registerGatewayMetrics(registry: Registry, stats: () => GatewayStats): void {
  const metrics = new ScrapedMetrics(registry, "sluice_gateway_", stats);
  metrics.counters("received_total", "Messages of devices.", "qos", ({ devices }) =>
    Object.fromEntries(devices.received.map((count, qos) => [String(qos), count])),
  );
  metrics.counters("dropped_total", "Messages given up: store full, too old, or refused upstream.", "reason", (now) => now.store.dropped);
  metrics.counter("acked_total", "QoS 1 and 2 messages acknowledged to devices.", (now) => now.devices.acked);
  metrics.counter("refused_total", "Messages not taken: store or disk full, and the policy is to refuse.", (now) => now.store.refused);
  metrics.counter("shed_total", "QoS 0 messages among them.", (now) => now.devices.shed);
  metrics.counter("denied_total", "Messages on a topic that is not the device's.", (now) => now.devices.denied);
  metrics.counter(
    "denied_subscriptions_total",
    "Subscriptions to a topic that is not the device's, or to any where nothing comes down.",
    (now) => now.devices.deniedSubscriptions,
  );
  metrics.counter(
    "refused_connections_total",
    "Connections refused: password, certificate, or too many.",
    (now) => now.devices.refusedConnections,
  );
  metrics.counter(
    "protocol_errors_total",
    "Packets that are none, too large, or against the protocol.",
    (now) => now.devices.protocolErrors,
  );
  metrics.counter("stored_total", "Messages written to the store.", (now) => now.store.stored);
  metrics.counter("forwarded_total", "Messages durable upstream.", (now) => now.store.forwarded);
  metrics.counter("uplink_failures_total", "Attempts upstream that failed.", (now) => now.uplink.failures);
  metrics.counter("down_received_total", "Messages of the upstream broker for devices.", (now) => now.downlink?.received ?? 0);
  metrics.counters("down_total", "What became of them.", "delivery", (now) => now.downlink?.deliveries ?? {});
  metrics.counter(
    "down_refused_subscriptions_total",
    "Packets in which the upstream broker refused a subscription for devices.",
    (now) => now.downlink?.refusedSubscriptions ?? 0,
  );
  metrics.gauge("down_topics", "Topics of devices that are subscribed upstream.", (now) => now.downlink?.topics ?? 0);
  metrics.gauge("down_connected", "1 while messages for devices can come.", (now) => (now.downlink?.connected === true ? 1 : 0));
  metrics.gauge("connections", "Connections of devices.", (now) => now.connections);
  metrics.gauge("store_messages", "Messages stored and not forwarded.", (now) => now.store.messages);
  metrics.gauge("store_bytes", "Their bytes.", (now) => now.store.bytes);
  metrics.gauge(
    "store_oldest_timestamp_seconds",
    "When the oldest of them was received; 0: there are none.",
    (now) => (now.store.oldestTs ?? 0) / 1000,
  );
  metrics.gauge("store_open", "1 while the store can be written.", (now) => (now.store.state === "open" && !now.store.diskFull ? 1 : 0));
  metrics.gauge("uplink_up", "1 while the uplink takes messages.", (now) => (now.uplink.up ? 1 : 0));
}
