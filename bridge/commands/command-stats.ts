/** The commands service's numbers, and the same for Prometheus. */
import type { Registry } from "prom-client";
import { COMMAND_STATES, type CommandState } from "../../processors/formats/commands.ts";
import { ScrapedMetrics } from "../scraped-metrics.ts";
import type { LaneCounters } from "./lane.ts";

export interface CommandCounters extends LaneCounters {
  /** Statuses written, by state. */
  readonly statuses: Record<CommandState, number>;
  deadLetters: number;
  /** Times everything was brought up again from the log. */
  recoveries: number;
}

/** Counts since start(), and how things stand. */
export interface CommandStats extends CommandCounters {
  readonly connected: boolean;
  readonly reconnects: number;
  /** Partitions carried out here. */
  readonly lanes: number;
  readonly open: number;
  /** Waiting for a connection with room. */
  readonly ready: number;
  /** Published and not answered by the broker. */
  readonly inAir: number;
}

export function newCounters(): CommandCounters {
  return {
    statuses: Object.fromEntries(COMMAND_STATES.map((state) => [state, 0])) as Record<CommandState, number>,
    duplicates: 0,
    acks: { taken: 0, known: 0, unknown: 0, malformed: 0 },
    deadLetters: 0,
    recoveries: 0,
  };
}

export function registerCommandMetrics(registry: Registry, stats: () => CommandStats): void {
  const metrics = new ScrapedMetrics(registry, "sluice_commands_", stats);
  metrics.counters("statuses_total", "Statuses written, by state.", "state", (now) => now.statuses);
  metrics.counters("acks_total", "Acknowledgements read: taken, of a finished command, of none, or not readable.", "result", (now) => ({
    ...now.acks,
  }));
  metrics.counter("duplicates_total", "Commands whose id was known.", (now) => now.duplicates);
  metrics.counter("dead_letters_total", "Records that name no command.", (now) => now.deadLetters);
  metrics.counter("recoveries_total", "Times everything was brought up again from the log.", (now) => now.recoveries);
  metrics.counter("reconnects_total", "Attempts to connect to the MQTT broker again.", (now) => now.reconnects);
  metrics.gauge("lanes", "Partitions carried out here.", (now) => now.lanes);
  metrics.gauge("open", "Commands that are not done.", (now) => now.open);
  metrics.gauge("ready", "Commands waiting for a connection with room.", (now) => now.ready);
  metrics.gauge("in_air", "Commands published and not answered by the broker.", (now) => now.inAir);
  metrics.gauge("connected", "1 while connected to the MQTT broker.", (now) => (now.connected ? 1 : 0));
}
