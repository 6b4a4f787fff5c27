/** The shadow service's numbers, and the same for Prometheus. */
import { Counter, Gauge, type Registry } from "prom-client";

export interface ShadowStats {
  readonly connected: boolean;
  /** Partitions whose devices are told from here. */
  readonly lanes: number;
  /** Since start(). */
  readonly published: number;
  /** Devices that are not as desired. */
  readonly pending: number;
  /** Deltas that there was no room to keep, of the lanes of now. */
  readonly overflow: number;
  /** Publications that the broker refused, likewise. */
  readonly refused: number;
}

export function registerShadowMetrics(registry: Registry, stats: () => ShadowStats): void {
  const gauge = (name: string, help: string, value: (stats: ShadowStats) => number): void => {
    new Gauge({
      name: `sluice_shadow_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value(stats()));
      },
    });
  };
  new Counter({
    name: "sluice_shadow_published_total",
    help: "Deltas given to the MQTT broker.",
    registers: [registry],
    collect() {
      this.reset();
      this.inc(stats().published);
    },
  });
  gauge("lanes", "Partitions of shadows whose devices are told from here.", (now) => now.lanes);
  gauge("pending", "Devices that are not as desired.", (now) => now.pending);
  gauge("overflow", "Deltas that there was no room to keep; their devices must ask.", (now) => now.overflow);
  gauge("refused", "Deltas that the broker refused.", (now) => now.refused);
  gauge("connected", "1 while connected to the MQTT broker.", (now) => (now.connected ? 1 : 0));
}
