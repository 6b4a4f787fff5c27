/** The IoT job: raw telemetry in, clean and windowed streams out. Source: shared design, section 1. */
import { serdes } from "../state/serdes.ts";
import { StreamsBuilder } from "../topology/streams-builder.ts";
import type { Topology } from "../topology/topology.ts";
import { aggregateHistory } from "./aggregate-history.ts";
import { decode } from "./decode.ts";
import { dedupe } from "./dedupe.ts";
import { deviceState } from "./device-state.ts";
import type { ShadowDocument } from "./formats/shadow.ts";
import { jsonSerdes } from "./json-serdes.ts";
import { normalize } from "./normalize.ts";
import type { JobSerdes } from "./prepare-serdes.ts";
import { rules } from "./rules.ts";
import type { JobSettings, ShadowSettings } from "./settings.ts";
import { shadow } from "./shadow/shadow.ts";
import { sourceKey } from "./source-key.ts";
import { validate } from "./validate.ts";
import { windows } from "./windows.ts";

/**
 * @param prepared what prepareSerdes(settings) resolved to. Without it everything is JSON, whatever the settings say of a registry: for describing the topology.
 * @example
 * const topology = buildTelemetryTopology(settings, await prepareSerdes(settings));
 */
export function buildTelemetryTopology(settings: JobSettings, prepared?: JobSerdes): Topology {
  const { topics, validation, dedupe: dedupeSettings } = settings;
  const output = prepared?.output ?? jsonSerdes;
  const key = serdes.string;
  const builder = new StreamsBuilder();

  const raw = builder.stream<string | null, ReturnType<typeof serdes.slice.read> | null>(topics.raw, {
    key: sourceKey,
    value: serdes.slice,
    name: "raw",
    streamTime: "processor",
    prepare: prepared?.prepare,
  });
  const { events } = raw.process(decode({ maxValueBytes: validation.maxValueBytes, schemas: prepared?.schemas }));
  const { valid } = events.process(validate({ maxFutureMs: validation.maxFutureMs, profiles: settings.profiles }));
  const { normalized: measured } = valid.process(normalize());
  const { unique } = measured.process(dedupe(dedupeSettings));
  const { normalized, aggregates } = unique.process(windows({ windows: settings.windows, idleCloseMs: settings.processing.idleCloseMs }));

  normalized.to(topics.normalized, { key, value: output.normalized, name: "normalized-sink" });
  if (settings.rules.length > 0)
    normalized.process(rules(settings.rules)).alerts.to(topics.alerts, { key, value: output.alert, name: "alerts-sink" });
  normalized.process(deviceState()).changes.to(topics.deviceState, { key, value: output.deviceState, name: "device-state-sink" });
  aggregates.to(topics.aggregates, { key, value: output.aggregate, name: "aggregates-sink" });
  aggregates.process(aggregateHistory());
  if (settings.shadow.enabled) addShadow(builder, settings.shadow);
  return builder.build();
}

/** Shares nothing with telemetry: tasks of its own. */
function addShadow(builder: StreamsBuilder, { topic, updatesTopic, ...bounds }: ShadowSettings): void {
  const updates = builder.stream<string | null, ReturnType<typeof serdes.slice.read> | null>(updatesTopic, {
    key: sourceKey,
    value: serdes.slice,
    name: "shadow-updates",
  });
  const { documents } = updates.process(shadow(bounds));
  documents.to(topic, { key: serdes.string, value: serdes.json<ShadowDocument | null>(), name: "shadows-sink" });
}
