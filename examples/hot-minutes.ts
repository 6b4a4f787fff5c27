import { serdes } from "../state/serdes.ts";
import { StreamsBuilder } from "../topology/streams-builder.ts";

const builder = new StreamsBuilder();
builder
  .stream("readings", { key: serdes.string, value: serdes.json<{ celsius: number }>() })
  .filter((reading) => reading.celsius > 30)
  .groupByKey()
  .windowedBy({ type: "tumbling", sizeMs: 60_000, graceMs: 5_000 })
  .count({ name: "hot-minutes", key: serdes.string, value: serdes.float64 })
  .map((window, count) => [window.key, { from: window.start, count }])
  .to("hot-minutes", { key: serdes.string, value: serdes.json() });
export const topology = builder.build();
