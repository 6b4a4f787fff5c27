/** The last windows of the device, newest first: mean and range a metric. */
import { byId, make, setChildren, setText } from "./dom.js";
import { duration, metricName, time, value } from "./format.js";

const MAX_ROWS = 60;
const MAX_METRICS = 4;

export class WindowsTable {
  #rows = [];
  #metrics = "";

  reset() {
    this.#rows = [];
  }

  load(records) {
    this.#rows = [];
    for (const record of records.slice(-MAX_ROWS)) this.#insert(record, false);
  }

  add(record) {
    this.#insert(record, true);
  }

  draw() {
    const names = [...new Set(this.#rows.flatMap(({ record }) => Object.keys(record.metrics)))].slice(0, MAX_METRICS);
    if (names.join("\n") !== this.#metrics) {
      this.#metrics = names.join("\n");
      for (const row of this.#rows) row.element = undefined;
      byId("windows-head").replaceChildren(head(names));
    }
    for (const row of this.#rows) row.element ??= body(row, names);
    setChildren(byId("windows-body"), this.#rows.length > 0 ? this.#rows.map((row) => row.element) : []);
    const sizes = [...new Set(this.#rows.map(({ record }) => record.window.end - record.window.start))].sort((a, b) => a - b);
    setText(byId("windows-note"), sizes.length === 0 ? "none closed yet" : `${sizes.map(duration).join(", ")} tumbling`);
  }

  #insert(record, isNew) {
    const { start, end } = record.window;
    if (this.#rows.some((row) => row.record.window.start === start && row.record.window.end === end)) return;
    this.#rows.push({ record, isNew, element: undefined });
    this.#rows.sort((a, b) => b.record.window.start - a.record.window.start);
    this.#rows.length = Math.min(this.#rows.length, MAX_ROWS);
  }
}

function head(names) {
  const columns = names.map((name) => {
    const { label, unit } = metricName(name);
    return make("th", { scope: "col" }, unit === "" ? label : `${label} ${unit}`);
  });
  return make("tr", {}, make("th", { scope: "col" }, "From"), make("th", { scope: "col" }, "Events"), ...columns);
}

function body({ record, isNew }, names) {
  const metrics = names.map((name) => record.metrics[name]);
  const events = Math.max(0, ...Object.values(record.metrics).map((metric) => metric.count));
  const cells = metrics.map((metric) =>
    metric === undefined
      ? make("td", {}, "–")
      : make("td", {}, value(metric.mean), make("span", { class: "range" }, `${value(metric.min)} – ${value(metric.max)}`)),
  );
  return make(
    "tr",
    { "data-new": String(isNew) },
    make("td", { title: `to ${time(record.window.end)}` }, time(record.window.start)),
    make("td", {}, String(events)),
    ...cells,
  );
}
