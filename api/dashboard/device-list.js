/** One page of devices at a time, so that ten thousand cost what fifty do: asked for every two seconds, live in between. */
import { tenantPath } from "./api-client.js";
import { byId, make, setAttribute, setChildren, setText } from "./dom.js";
import { ago, metricName, value } from "./format.js";
import { onFrame } from "./frame.js";
import { presenceLabel } from "./presence.js";

const PAGE = 50;
const FRESH_MS = 10_000;
const QUIET_MS = 60_000;

export class DeviceList {
  #client;
  #onSelect;
  #tenant;
  #rows = new Map();
  #devices = new Map();
  #order = [];
  /** `after` of each page up to this one. */
  #cursors = [undefined];
  #next = null;
  #search = "";
  #selected;
  #isRevealed = true;
  #firing = new Set();
  #loaded = false;
  #render = onFrame(() => this.#draw(), 200);

  /** @param {{client: import("./api-client.js").ApiClient, onSelect: (deviceId: string) => void, hurry: () => void}} options */
  constructor({ client, onSelect, hurry }) {
    this.#client = client;
    this.#onSelect = onSelect;
    byId("search").addEventListener("input", (event) => {
      this.#search = event.target.value.trim();
      this.#turn([undefined], hurry);
    });
    byId("page-on").addEventListener("click", () => this.#turn([...this.#cursors, this.#next], hurry));
    byId("page-back").addEventListener("click", () => this.#turn(this.#cursors.slice(0, -1), hurry));
    byId("device-list").addEventListener("keydown", moveFocus);
    setInterval(this.#render, 1000);
  }

  /** Nothing is shown of the tenant before. */
  reset(tenant) {
    this.#tenant = tenant;
    this.#cursors = [undefined];
    this.#search = "";
    byId("search").value = "";
    this.#devices.clear();
    this.#order = [];
    this.#loaded = false;
    this.#render();
  }

  /** There is no tenant yet, so there is nobody to ask for. */
  showNothing() {
    this.#loaded = true;
    this.#render();
  }

  async load(tenant) {
    const query = new URLSearchParams({ limit: String(PAGE), partial: "true" });
    const after = this.#cursors.at(-1);
    if (after !== undefined) query.set("after", after);
    const search = this.#search;
    if (search !== "") query.set("contains", search);
    const { devices, next } = await this.#client.get(`${tenantPath(tenant, "devices")}?${query}`);
    // Answers may come after the question has changed: another tenant, page or search.
    if (tenant !== this.#tenant || after !== this.#cursors.at(-1) || search !== this.#search) return [];
    this.#order = devices.map((device) => device.deviceId);
    this.#devices = new Map(devices.map((device) => [device.deviceId, newer(this.#devices.get(device.deviceId), device)]));
    this.#next = next;
    this.#loaded = true;
    this.#render();
    return this.#order;
  }

  /** A normalized record, of any device. */
  onRecord(record) {
    const device = this.#devices.get(record.deviceId);
    if (device === undefined || record.receivedTs < device.receivedTs) return;
    const metrics = { ...device.metrics };
    for (const [name, number] of Object.entries(record.metrics)) {
      if (!(metrics[name]?.ts > record.ts)) metrics[name] = { value: number, ts: record.ts };
    }
    this.#devices.set(record.deviceId, { ...device, receivedTs: record.receivedTs, metrics });
    this.#render();
  }

  select(deviceId) {
    this.#selected = deviceId;
    this.#isRevealed = false;
    this.#render();
  }

  setFiring(deviceIds) {
    this.#firing = deviceIds;
    this.#render();
  }

  #turn(cursors, hurry) {
    this.#cursors = cursors;
    byId("device-list").scrollTop = 0;
    hurry();
  }

  #draw() {
    const now = Date.now();
    for (const id of this.#rows.keys()) if (!this.#devices.has(id)) this.#rows.delete(id);
    const rows = this.#order.map((id) => this.#row(id, now));
    setChildren(byId("device-list"), rows.length > 0 ? rows : [this.#empty()]);
    this.#reveal(this.#rows.get(this.#selected));
    const page = this.#cursors.length;
    const more = this.#next !== null;
    setText(byId("page-label"), page === 1 && !more ? (this.#loaded ? `${rows.length}` : "") : `page ${page}`);
    byId("page-on").disabled = !more;
    byId("page-back").disabled = page === 1;
    byId("page-on").parentElement.hidden = page === 1 && !more;
  }

  /** Once, when it was selected: after that the person scrolls. */
  #reveal(row) {
    if (this.#isRevealed || row === undefined) return;
    this.#isRevealed = true;
    const box = byId("device-list");
    const above = row.offsetTop - box.offsetTop;
    if (above < box.scrollTop || above + row.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = above - box.clientHeight / 3;
  }

  #row(id, now) {
    const device = this.#devices.get(id);
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = this.#makeRow(id);
      this.#rows.set(id, row);
    }
    const [button] = row.children;
    const [dot, , seen, values] = button.children;
    const age = now - device.receivedTs;
    setAttribute(dot, "data-age", age < FRESH_MS ? "fresh" : age < QUIET_MS ? "quiet" : "silent");
    setText(seen, presenceLabel(device.presence, now) ?? ago(device.receivedTs, now));
    setAttribute(seen, "data-presence", device.presence?.status ?? "unknown");
    setText(values, summary(device.metrics));
    setAttribute(button, "aria-current", id === this.#selected);
    setAttribute(button, "data-alert", this.#firing.has(id));
    return row;
  }

  #makeRow(id) {
    const button = make(
      "button",
      { type: "button", class: "device-row", title: id },
      make("span", { class: "dot", "aria-hidden": "true" }),
      make("span", { class: "id" }, id),
      make("span", { class: "seen" }),
      make("span", { class: "values" }),
    );
    button.addEventListener("click", () => this.#onSelect(id));
    return make("li", {}, button);
  }

  #empty() {
    if (!this.#loaded) return make("li", { class: "empty" }, "Asking for devices…");
    if (this.#search === "") return make("li", { class: "empty" }, "Nothing received yet. Publish to t/{tenant}/d/{device}/telemetry.");
    return make("li", { class: "empty" }, this.#next === null ? "No device matches." : "None among these: go on with Next.");
  }
}

function newer(known, loaded) {
  return known !== undefined && known.receivedTs > loaded.receivedTs ? { ...known, presence: loaded.presence } : loaded;
}

function summary(metrics) {
  return Object.entries(metrics)
    .slice(0, 3)
    .map(([name, metric]) => `${value(metric.value)} ${metricName(name).unit || metricName(name).label.toLowerCase()}`)
    .join("  ·  ");
}

function moveFocus(event) {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  const target = step && event.target.closest("li")?.[step]?.querySelector("button");
  if (!target) return;
  event.preventDefault();
  target.focus();
}
