/** Alerts as they fire and clear: firing ones first, then the last that cleared. */
import { tenantPath } from "./api-client.js";
import { byId, make, setChildren, setText } from "./dom.js";
import { ago, time, value } from "./format.js";
import { onFrame } from "./frame.js";

const MAX_CLEARED = 30;
/** Drawn; the header's number counts them all. */
const MAX_FIRING = 100;

export class AlertsPanel {
  #client;
  #onSelect;
  #onFiring;
  #tenant;
  #firing = new Map();
  /** Of these the stream has told since all were asked for; one question at a time. */
  #since = new Map();
  #cleared = new Map();
  #cards = new Map();
  #render = onFrame(() => this.#draw(), 100);

  /** @param {{client: import("./api-client.js").ApiClient, onSelect: (deviceId: string) => void, onFiring: (alerts: object[], isWhole: boolean) => void}} options */
  constructor({ client, onSelect, onFiring }) {
    this.#client = client;
    this.#onSelect = onSelect;
    this.#onFiring = onFiring;
    this.isWhole = true;
    setInterval(this.#render, 1000);
  }

  /** Nothing is shown of the tenant before. */
  reset(tenant) {
    this.#tenant = tenant;
    this.#firing.clear();
    this.#since.clear();
    this.#cleared.clear();
    this.#render();
  }

  /** What fires now, whatever the stream missed. One that fired or cleared since the question stays as it is. */
  async load(tenant) {
    this.#since.clear();
    const { devices, next } = await this.#client.get(`${tenantPath(tenant, "alerts")}?limit=1000&partial=true`);
    if (tenant !== this.#tenant) return;
    const firing = devices.flatMap((device) => device.active).filter((alert) => !(this.#cleared.get(alert.id)?.ts >= alert.ts));
    this.#firing = new Map([...firing, ...this.#since.values()].map((alert) => [alert.id, alert]));
    this.isWhole = next === null;
    this.#render();
  }

  onAlert(alert) {
    if (alert.state === "firing") {
      this.#firing.set(alert.id, alert);
      this.#since.set(alert.id, alert);
    } else {
      this.#firing.delete(alert.id);
      this.#since.delete(alert.id);
      this.#cleared.set(alert.id, alert);
      if (this.#cleared.size > MAX_CLEARED) this.#cleared.delete(this.#cleared.keys().next().value);
    }
    this.#render();
  }

  #draw() {
    const firing = [...this.#firing.values()].sort((a, b) => b.startedTs - a.startedTs);
    const cleared = [...this.#cleared.values()].reverse();
    const shown = [...firing.slice(0, MAX_FIRING), ...cleared];
    const keys = new Set(shown.map(cardKey));
    for (const key of this.#cards.keys()) if (!keys.has(key)) this.#cards.delete(key);
    const now = Date.now();
    const cards = shown.map((alert) => this.#card(alert, now));
    setChildren(byId("alert-list"), cards.length > 0 ? cards : [this.#quiet()]);
    setText(byId("alerts-note"), firing.length > MAX_FIRING ? `newest ${MAX_FIRING} of ${firing.length}` : "");
    this.#onFiring(firing, this.isWhole);
  }

  #card(alert, now) {
    const key = cardKey(alert);
    const known = this.#cards.get(key) ?? this.#makeCard(alert);
    this.#cards.set(key, known);
    setText(
      known.when,
      alert.state === "firing" ? `for ${ago(alert.startedTs, now).replace("now", "1 s")}` : `${time(alert.startedTs)} – ${time(alert.ts)}`,
    );
    return known.card;
  }

  #makeCard(alert) {
    const device = make("button", { type: "button", class: "link", title: alert.deviceId }, alert.deviceId);
    device.addEventListener("click", () => this.#onSelect(alert.deviceId));
    const when = make("span");
    const card = make(
      "li",
      { class: "alert", "data-state": alert.state },
      make(
        "div",
        { class: "alert-top" },
        make("span", { class: "alert-rule" }, alert.rule),
        make("span", { class: "alert-state" }, alert.state === "firing" ? alert.severity : "cleared"),
      ),
      make("p", { class: "alert-message" }, alert.message || `${value(alert.value)} against ${value(alert.threshold)}`),
      make("div", { class: "alert-foot" }, device, when),
    );
    return { card, when };
  }

  #quiet() {
    this.quiet ??= make("li", { class: "empty" }, "All quiet.");
    return this.quiet;
  }
}

function cardKey(alert) {
  return `${alert.state} ${alert.id}`;
}
