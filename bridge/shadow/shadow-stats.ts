/** The shadow service's numbers, and the same for Prometheus. */
import type { Registry } from "prom-client";
import { ScrapedMetrics } from "../scraped-metrics.ts";

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
  /** Since start(): devices told that a report was refused, and those that were not, for there were too many or it was too late. */
  readonly rejectionsTold: number;
  readonly rejectionsUntold: number;
}

export function registerShadowMetrics(registry: Registry, stats: () => ShadowStats): void {
  const metrics = new ScrapedMetrics(registry, "sluice_shadow_", stats);
  metrics.counter("published_total", "Deltas given to the MQTT broker.", (now) => now.published);
  metrics.gauge("lanes", "Partitions of shadows whose devices are told from here.", (now) => now.lanes);
  metrics.gauge("pending", "Devices that are not as desired.", (now) => now.pending);
  metrics.gauge("overflow", "Deltas that there was no room to keep; their devices must ask.", (now) => now.overflow);
  metrics.gauge("refused", "Deltas that the broker refused.", (now) => now.refused);
  metrics.counter("rejections_told_total", "Devices told that a report was refused.", (now) => now.rejectionsTold);
  metrics.counter("rejections_untold_total", "Refused reports not told: too many, or too late.", (now) => now.rejectionsUntold);
  metrics.gauge("connected", "1 while connected to the MQTT broker.", (now) => (now.connected ? 1 : 0));
}
