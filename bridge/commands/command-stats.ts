/** The commands service's numbers, and the same for Prometheus. */
import { Counter, Gauge, type Registry } from "prom-client";
import { COMMAND_STATES, type CommandState } from "../../processors/formats/commands.ts";
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
  const labelled = (name: string, help: string, label: string, values: (stats: CommandStats) => Record<string, number>): void => {
    new Counter({
      name: `sluice_commands_${name}`,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(values(stats()))) this.inc({ [label]: value }, count);
      },
    });
  };
  const counter = (name: string, help: string, value: (stats: CommandStats) => number): void => {
    new Counter({
      name: `sluice_commands_${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(value(stats()));
      },
    });
  };
  const gauge = (name: string, help: string, value: (stats: CommandStats) => number): void => {
    new Gauge({
      name: `sluice_commands_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value(stats()));
      },
    });
  };
  labelled("statuses_total", "Statuses written, by state.", "state", (now) => now.statuses);
  labelled("acks_total", "Acknowledgements read: taken, of a finished command, of none, or not readable.", "result", (now) => ({
    ...now.acks,
  }));
  counter("duplicates_total", "Commands whose id was known.", (now) => now.duplicates);
  counter("dead_letters_total", "Records that name no command.", (now) => now.deadLetters);
  counter("recoveries_total", "Times everything was brought up again from the log.", (now) => now.recoveries);
  counter("reconnects_total", "Attempts to connect to the MQTT broker again.", (now) => now.reconnects);
  gauge("lanes", "Partitions carried out here.", (now) => now.lanes);
  gauge("open", "Commands that are not done.", (now) => now.open);
  gauge("ready", "Commands waiting for a connection with room.", (now) => now.ready);
  gauge("in_air", "Commands published and not answered by the broker.", (now) => now.inAir);
  gauge("connected", "1 while connected to the MQTT broker.", (now) => (now.connected ? 1 : 0));
}
