/** How several replicas of the ingress share the devices; the configuration's `mqtt.scaleOut` section (docs/scale-out.md). */
/**
 * - `shared`: a shared subscription. The broker gives each message to one slot; a device's order is not kept.
 * - `hash`: each slot is subscribed to everything and keeps the devices whose key falls to it. Order is kept.
 * - `filters`: each slot has topic filters of its own. Order is kept, and no message is delivered twice.
 */
export type ScaleOutMode = "shared" | "hash" | "filters";

export interface ScaleOutSettings {
  readonly mode: ScaleOutMode;
  /** Sessions at the broker, spread over the replicas; more replicas than slots leave some idle. Not with `filters`. */
  readonly slots?: number;
  /** `filters` only: the subscriptions of each slot, all that it takes: telemetry, states and answers to commands. */
  readonly filters?: readonly (readonly string[])[];
  /** Both set: this replica has every slot whose number leaves `replica` when divided by `replicas`. Absent: the group decides. */
  readonly replica?: number;
  readonly replicas?: number;
}

/** What is wrong with the settings, or undefined. */
export function scaleOutProblem(settings: ScaleOutSettings): { readonly key: keyof ScaleOutSettings; readonly rule: string } | undefined {
  const { mode, slots, filters, replica, replicas } = settings;
  if ((replica === undefined) !== (replicas === undefined)) return { key: "replica", rule: "and replicas are set together, or neither" };
  if (replica !== undefined && replica >= (replicas ?? 0)) return { key: "replica", rule: "must be below replicas: the first one is 0" };
  if (mode === "filters") {
    if (slots !== undefined) return { key: "slots", rule: 'does not go with mode "filters": there are as many as lists of filters' };
    if (filters === undefined) return { key: "filters", rule: "is missing" };
    if (filters.flat().some((filter) => filter.startsWith("$share/"))) return { key: "filters", rule: "must not be shared subscriptions" };
    return undefined;
  }
  if (filters !== undefined) return { key: "filters", rule: 'goes with mode "filters" only' };
  return slots === undefined ? { key: "slots", rule: "is missing" } : undefined;
}
