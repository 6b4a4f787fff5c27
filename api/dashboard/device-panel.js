/** The selected device: a chart a metric, its ledger, its closed windows, and what goes on towards it. */
import { tenantPath } from "./api-client.js";
import { drawControl } from "./control-panel.js";
import { byId, make, setAttribute, setChildren, setText } from "./dom.js";
import { ago } from "./format.js";
import { onFrame } from "./frame.js";
import { drawLedger } from "./ledger-panel.js";
import { MetricChart } from "./metric-chart.js";
import { drawPresence } from "./presence.js";
import { WindowsTable } from "./windows-table.js";

const SPANS_MIN = [5, 15, 60];
const MIN_SPAN_MS = 60_000;
/** A device with hundreds of fields must not stall the page. */
const MAX_CHARTS = 12;

export class DevicePanel {
  #client;
  #device;
  #state;
  #windowMs = Infinity;
  #charts = new Map();
  #windows = new WindowsTable();
  #spanMs = SPANS_MIN[0] * 60_000;
  #render = onFrame(() => this.#draw(), 150);

  /** @param {import("./api-client.js").ApiClient} client */
  constructor(client) {
    this.#client = client;
    const buttons = SPANS_MIN.map((minutes) => {
      const button = make("button", { type: "button", "aria-pressed": String(minutes * 60_000 === this.#spanMs) }, `${minutes} min`);
      button.addEventListener("click", () => {
        this.#spanMs = minutes * 60_000;
        for (const other of buttons) setAttribute(other, "aria-pressed", other === button);
        this.#render();
      });
      return button;
    });
    byId("spans").append(...buttons);
    setInterval(this.#render, 1000);
  }

  /** Shows the device from here on; what comes for the one before is not shown any more. */
  async show(tenant, deviceId) {
    const device = { tenant, deviceId };
    this.#device = device;
    this.#state = undefined;
    this.#windowMs = Infinity;
    for (const chart of this.#charts.values()) chart.destroy();
    this.#charts.clear();
    setChildren(byId("charts"), []);
    this.#windows.reset();
    setText(byId("device-title"), deviceId);
    await this.refresh();
    const { aggregates } = await this.#client.get(`${tenantPath(tenant, "devices", deviceId, "aggregates")}?limit=1000`);
    if (this.#device !== device) return;
    this.#windowMs = Math.min(...aggregates.map(({ window }) => window.end - window.start));
    for (const record of aggregates) this.#addWindow(record);
    this.#windows.load(aggregates);
    this.#render();
  }

  /** What the stream does not bring. */
  async refresh() {
    const device = this.#device;
    if (device === undefined) return;
    const path = (...parts) => tenantPath(device.tenant, "devices", device.deviceId, ...parts);
    const [state, ledger, control] = await Promise.all([
      this.#client.get(path()),
      this.#client.get(path("ledger")).catch(absent),
      this.#client.get(path("control")).catch(absent),
    ]);
    if (this.#device !== device) return;
    this.#state = state;
    for (const [name, metric] of Object.entries(state.metrics)) this.#chart(name)?.addPoint(metric.ts, metric.value);
    drawLedger(ledger);
    drawControl(control);
    this.#render();
  }

  onRecord(record) {
    if (!this.#isShown(record)) return;
    if (this.#state !== undefined && record.receivedTs >= this.#state.receivedTs) {
      this.#state = { ...this.#state, receivedTs: record.receivedTs, bootId: record.bootId, seq: record.seq };
    }
    for (const [name, number] of Object.entries(record.metrics)) this.#chart(name)?.addPoint(record.ts, number);
    this.#render();
  }

  onAggregate(record) {
    if (!this.#isShown(record)) return;
    this.#addWindow(record);
    this.#windows.add(record);
    this.#render();
  }

  repaint() {
    for (const chart of this.#charts.values()) chart.repaint();
    this.#render();
  }

  #isShown({ tenant, deviceId }) {
    return this.#device?.deviceId === deviceId && this.#device.tenant === tenant;
  }

  /** Charts have one size of window, the smallest: a line through means of minutes and seconds would say nothing. */
  #addWindow({ window, metrics }) {
    const sizeMs = window.end - window.start;
    if (sizeMs > this.#windowMs) return;
    this.#windowMs = sizeMs;
    for (const [name, metric] of Object.entries(metrics)) this.#chart(name)?.addWindow(window, metric);
  }

  #chart(name) {
    let chart = this.#charts.get(name);
    if (chart === undefined && this.#charts.size < MAX_CHARTS) {
      chart = new MetricChart(name);
      this.#charts.set(name, chart);
      byId("charts").append(chart.element);
    }
    return chart;
  }

  #draw() {
    setText(byId("device-facts"), this.#state === undefined ? "" : facts(this.#state));
    drawPresence(this.#state?.presence);
    this.#windows.draw();
    // The newest event's time, not the clock's: a replay of last week shows last week.
    const newestMs = Math.max(...[...this.#charts.values()].map((chart) => chart.newestMs));
    if (!Number.isFinite(newestMs)) return;
    // A device that is new fills its charts from the first minute on.
    const oldestMs = Math.min(newestMs - MIN_SPAN_MS, ...[...this.#charts.values()].map((chart) => chart.oldestMs));
    const fromMs = Math.max(newestMs - this.#spanMs, oldestMs);
    for (const chart of this.#charts.values()) chart.draw(fromMs, newestMs);
  }
}

function facts({ receivedTs, bootId, seq, attributes }) {
  const seen = ago(receivedTs);
  const parts = [`last seen ${seen === "now" ? "now" : `${seen} ago`}`];
  if (seq !== undefined) parts.push(`seq ${seq}`);
  if (bootId !== undefined) parts.push(`boot ${bootId}`);
  for (const [name, attribute] of Object.entries(attributes).slice(0, 4)) parts.push(`${name} ${attribute}`);
  return parts.join("  ·  ");
}

/** A device may have values and no ledger yet. */
function absent(error) {
  if (error.status === 404) return undefined;
  throw error;
}
