import type { Tree } from "../config/environment.ts";

/** What the demo sets where the configuration says nothing: small, quick to show something, gone after an hour. */
export const DEMO_DEFAULTS: Tree = {
  // One process: more partitions would only be more idle tasks.
  topicDefaults: { partitions: 4, retentionMs: 3_600_000 },
  windows: [{ sizeMs: 10_000, graceMs: 5_000, idleMs: 15_000 }],
  // When nobody sends any more, windows still close on the dashboard.
  processing: { idleCloseMs: 10_000 },
  commands: { enabled: true },
  presence: {},
  rules: [
    // Every tenth simulated device crosses it and comes back every two minutes (cli/simulate/metric-values.ts).
    { name: "hot", metric: "temperature_c", above: 90, clearBelow: 88, severity: "critical" },
    // The recorded machine cools down before it fails; the recording does not give the unit.
    { name: "machine-cooling", metric: "machine_temperature", below: 65, clearAbove: 68, severity: "warning" },
  ],
};
