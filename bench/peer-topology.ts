/** The peers' job (`shared/peers/stream-job`) and nothing else: normalize, exact dedupe, 10 s windows; no newest values, no history of windows. */
import { decode } from "../processors/decode.ts";
import { dedupe } from "../processors/dedupe.ts";
import { jsonSerdes } from "../processors/json-serdes.ts";
import { normalize } from "../processors/normalize.ts";
import type { JobSettings } from "../processors/settings.ts";
import { sourceKey } from "../processors/source-key.ts";
import { validate } from "../processors/validate.ts";
import { windows } from "../processors/windows.ts";
import { serdes } from "../state/serdes.ts";
import { StreamsBuilder } from "../topology/streams-builder.ts";
import type { Topology } from "../topology/topology.ts";

export function peerTopology({
  topics,
  validation,
  dedupe: dedupeSettings,
  profiles,
  windows: windowSettings,
  processing,
}: JobSettings): Topology {
  const key = serdes.string;
  const builder = new StreamsBuilder();
  const raw = builder.stream(topics.raw, { key: sourceKey, value: serdes.slice, name: "raw", streamTime: "processor" });
  const { events } = raw.process(decode({ maxValueBytes: validation.maxValueBytes }));
  const { valid } = events.process(validate({ maxFutureMs: validation.maxFutureMs, profiles }));
  const { unique } = valid.process(normalize()).normalized.process(dedupe(dedupeSettings));
  const { normalized, aggregates } = unique.process(windows({ windows: windowSettings, idleCloseMs: processing.idleCloseMs }));
  normalized.to(topics.normalized, { key, value: jsonSerdes.normalized, name: "normalized-sink" });
  aggregates.to(topics.aggregates, { key, value: jsonSerdes.aggregate, name: "aggregates-sink" });
  return builder.build();
}
