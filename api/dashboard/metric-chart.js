/** A card with one metric: its value now, live points over the windows' mean and range. */
import uPlot from "/dashboard/vendor/uPlot.esm.js";
import { make, setText } from "./dom.js";
import { metricName, time, value } from "./format.js";
import { MetricSeries } from "./metric-series.js";
import { colour } from "./theme.js";

const HEIGHT = 160;

export class MetricChart {
  #series = new MetricSeries();
  #name;
  #now = make("span", {}, "–");
  #readout = make("span", { class: "readout" });
  #plotBox = make("div", { class: "plot" });
  #plot;
  #latestMs = -Infinity;
  #resize = new ResizeObserver(([entry]) => this.#plot?.setSize({ width: Math.floor(entry.contentRect.width), height: HEIGHT }));

  constructor(name) {
    this.#name = metricName(name);
    const { label, unit } = this.#name;
    this.element = make(
      "section",
      { class: "panel chart", "aria-label": `${label}, live` },
      make(
        "div",
        { class: "panel-head" },
        make("div", { class: "name" }, make("h2", { title: name }, label), this.#readout),
        make("div", { class: "now" }, this.#now, make("span", { class: "unit" }, unit)),
      ),
      this.#plotBox,
    );
    this.#resize.observe(this.#plotBox);
  }

  get newestMs() {
    return this.#series.newestMs;
  }

  get oldestMs() {
    return this.#series.oldestMs;
  }

  addPoint(ms, number) {
    this.#series.addPoint(ms, number);
    if (ms < this.#latestMs) return;
    this.#latestMs = ms;
    setText(this.#now, value(number));
  }

  addWindow(window, metric) {
    this.#series.addWindow(window, metric);
  }

  draw(fromMs, toMs) {
    if (this.#plot === undefined) this.#build();
    this.#plot.batch(() => {
      this.#plot.setData(this.#series.columns(fromMs), false);
      this.#plot.setScale("x", { min: fromMs / 1000, max: toMs / 1000 });
    });
  }

  /** Canvas has no CSS: a new theme needs a new plot. */
  repaint() {
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  destroy() {
    this.#resize.disconnect();
    this.#plot?.destroy();
  }

  #build() {
    const axis = {
      stroke: colour("muted"),
      grid: { stroke: colour("grid"), width: 1 },
      ticks: { show: false },
      font: `11px ${getComputedStyle(document.body).fontFamily}`,
    };
    const accent = colour("accent");
    const hidden = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true };
    this.#plot = new uPlot(
      {
        width: Math.max(200, Math.floor(this.#plotBox.clientWidth)),
        height: HEIGHT,
        padding: [8, 28, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        scales: { x: { time: true, auto: false } },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 22,
            space: 52,
            values: (_plot, splits) => splits.map((seconds) => time(seconds * 1000).slice(0, splits[1] - splits[0] < 60 ? 8 : 5)),
          },
          { ...axis, size: 52, space: 36, values: (_plot, splits) => splits.map((split) => String(+split.toPrecision(6))) },
        ],
        series: [
          {},
          hidden,
          hidden,
          { stroke: accent, width: 1.75, points: { show: false }, spanGaps: true },
          { stroke: colour("soft"), width: 1, points: { size: 3, fill: colour("soft"), width: 0 }, spanGaps: true },
        ],
        bands: [{ series: [1, 2], fill: colour("accent-band") }],
        hooks: { setCursor: [(plot) => this.#read(plot)] },
      },
      [[], [], [], [], []],
      this.#plotBox,
    );
  }

  #read(plot) {
    const { idx } = plot.cursor;
    if (idx === null || idx === undefined) {
      setText(this.#readout, "");
      return;
    }
    const [seconds, max, min, mean, live] = plot.data.map((column) => column[idx]);
    const text = live !== null ? value(live) : `mean ${value(mean)}, ${value(min)} to ${value(max)}`;
    setText(this.#readout, `${time(seconds * 1000)}  ${text} ${this.#name.unit}`);
  }
}
