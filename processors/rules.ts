/** Threshold rules with hysteresis and a for-duration, by event time. */
import type { KeyValueStore } from "../state/store.ts";
import type { Output, Processor, ProcessorContext, ProcessorSpec, StreamRecord } from "../topology/processor.ts";
import { alertsStore, newAlertsState, type AlertsState, type RuleProgress } from "./alerts-row.ts";
import type { Device } from "./device.ts";
import type { TelemetryEvent } from "./event.ts";
import type { AlertRecord } from "./formats/records.ts";
import { matchesDevice, type RuleSettings } from "./settings.ts";

/** Resolved alerts kept per device for HTTP. */
const MAX_RECENT = 20;

export type RulesOutputs = { alerts: { key: string; value: AlertRecord } };

export function rules(settings: readonly RuleSettings[]): ProcessorSpec<string, TelemetryEvent, RulesOutputs> {
  return { name: "rules", outputs: ["alerts"], stores: [alertsStore], create: () => new Rules(settings) };
}

/** A rule is judged by each reading of its metric that is no older than the last one judged. In words: processors/README.md. */
class Rules implements Processor<string, TelemetryEvent, RulesOutputs> {
  readonly #byMetric = new Map<string, RuleSettings[]>();
  readonly #byName: ReadonlyMap<string, RuleSettings>;
  #context!: ProcessorContext<RulesOutputs>;
  #alerts!: Output<string, AlertRecord>;
  #states!: KeyValueStore<string, AlertsState>;

  constructor(settings: readonly RuleSettings[]) {
    this.#byName = new Map(settings.map((rule) => [rule.name, rule]));
    for (const rule of settings) {
      const others = this.#byMetric.get(rule.metric);
      if (others === undefined) this.#byMetric.set(rule.metric, [rule]);
      else others.push(rule);
    }
  }

  init(context: ProcessorContext<RulesOutputs>): void {
    this.#context = context;
    this.#alerts = context.output("alerts");
    this.#states = context.store(alertsStore);
  }

  process({ key, value: event }: StreamRecord<string, TelemetryEvent>): void {
    const { device, values } = event;
    if (device === undefined) throw new Error("rules come after validate");
    const { names } = event.metrics;
    let state = this.#states.get(key);
    let changed = state !== undefined && state.active.length > 0 && this.#resolveRemoved(key, state, event.ts);
    for (let i = 0; i < values.length; i++) {
      const rules = this.#byMetric.get(names[i]);
      if (rules === undefined) continue;
      for (const rule of rules) {
        if (!applies(rule, device)) continue;
        state ??= newAlertsState();
        changed = this.#judge(key, device, rule, state, values[i], event.ts) || changed;
      }
    }
    if (changed && state !== undefined) this.#states.put(key, state);
  }

  /** True when the row changed. */
  #judge(key: string, device: Device, rule: RuleSettings, state: AlertsState, value: number, ts: number): boolean {
    let progress = state.progress.find((candidate) => candidate.rule === rule.name);
    if (progress === undefined) state.progress.push((progress = { rule: rule.name, lastTs: ts, pendingTs: NaN }));
    if (ts < progress.lastTs) {
      this.#context.count("dropped", "rule-out-of-order");
      return false;
    }
    progress.lastTs = ts;
    const active = state.active.findIndex((alert) => alert.rule === rule.name);
    if (active >= 0) {
      if (isClear(rule, value)) this.#resolve(key, state, active, value, ts, `${rule.metric} is back to ${rounded(value)}`);
    } else if (breaches(rule, value)) this.#breach(key, device, rule, state, progress, value, ts);
    else progress.pendingTs = NaN;
    return true;
  }

  #breach(key: string, device: Device, rule: RuleSettings, state: AlertsState, progress: RuleProgress, value: number, ts: number): void {
    if (Number.isNaN(progress.pendingTs)) progress.pendingTs = ts;
    const startedTs = progress.pendingTs;
    if (ts - startedTs < rule.forMs) return;
    progress.pendingTs = NaN;
    const threshold = rule.above ?? rule.below ?? 0;
    const alert: AlertRecord = {
      v: 1,
      id: `${rule.name}|${device.key}|${startedTs}`,
      tenant: device.tenant,
      deviceId: device.deviceId,
      rule: rule.name,
      severity: rule.severity,
      state: "firing",
      value,
      threshold,
      startedTs,
      ts,
      message: `${rule.metric} ${rounded(value)} is ${rule.above === undefined ? "below" : "above"} ${rounded(threshold)}`,
    };
    state.active.push(alert);
    this.#alerts.forward({ key, value: alert, timestamp: Math.max(0, ts) });
  }

  #resolve(key: string, state: AlertsState, index: number, value: number, ts: number, message: string): void {
    const [firing] = state.active.splice(index, 1);
    const alert: AlertRecord = { ...firing, state: "resolved", value, ts, message };
    state.recent.unshift(alert);
    if (state.recent.length > MAX_RECENT) state.recent.length = MAX_RECENT;
    this.#alerts.forward({ key, value: alert, timestamp: Math.max(0, ts) });
  }

  /** Alerts of rules that left the configuration would fire for ever. */
  #resolveRemoved(key: string, state: AlertsState, ts: number): boolean {
    let changed = false;
    for (let index = state.active.length - 1; index >= 0; index--) {
      const alert = state.active[index];
      if (this.#byName.has(alert.rule)) continue;
      this.#resolve(key, state, index, alert.value, Math.max(ts, alert.ts), `rule ${alert.rule} was removed`);
      changed = true;
    }
    return changed;
  }
}

/** For people: at most 3 decimals. The alert's `value` and `threshold` stay exact. */
function rounded(value: number): number {
  return Number(value.toFixed(3));
}

function applies(rule: RuleSettings, device: Device): boolean {
  return (rule.tenant === undefined || rule.tenant === device.tenant) && matchesDevice(rule.devices, device.deviceId);
}

function breaches(rule: RuleSettings, value: number): boolean {
  return rule.above !== undefined ? value > rule.above : rule.below !== undefined && value < rule.below;
}

function isClear(rule: RuleSettings, value: number): boolean {
  if (rule.clearBelow !== undefined) return value < rule.clearBelow;
  if (rule.clearAbove !== undefined) return value > rule.clearAbove;
  return !breaches(rule, value);
}
