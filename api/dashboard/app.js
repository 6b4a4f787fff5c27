/** Wires the page: one stream, a few polls, and the panels they feed. */
import { readAddress, writeAddress } from "./address.js";
import { AlertsPanel } from "./alerts-panel.js";
import { ApiClient } from "./api-client.js";
import { DeviceList } from "./device-list.js";
import { DevicePanel } from "./device-panel.js";
import { byId, make, setAttribute, setText } from "./dom.js";
import { LiveStream } from "./live-stream.js";
import { askForToken } from "./login.js";
import { Overview } from "./overview.js";
import { poll, setAway } from "./poll.js";
import { startTheme } from "./theme.js";

/** For the list: it shows fifty rows, and the selected device always comes whole. */
const SAMPLE_PER_SECOND = 200;
/** Asking for all that fires reads every device's alerts. */
const MIN_ALERTS_INTERVAL_MS = 5000;

let { tenant, deviceId } = readAddress();

const client = new ApiClient(askForToken);
const overview = new Overview(client);
const panel = new DevicePanel(client);
const list = new DeviceList({ client, onSelect: select, hurry: () => hurryList() });
const alerts = new AlertsPanel({
  client,
  onSelect: select,
  onFiring: (firing, isWhole) => {
    overview.setFiring(firing.length, isWhole);
    list.setFiring(new Set(firing.map((alert) => alert.deviceId)));
  },
});
const stream = new LiveStream(client, onEvent, onStatus);

startTheme(() => panel.repaint());
const hurryTenants = poll(loadTenants, 10_000, onOutcome("tenants"));
poll(() => overview.load(), 1000, onOutcome("overview"));
const hurryList = poll(loadList, 2000, onOutcome("devices"));
poll(() => panel.refresh(), 2000, onOutcome("device"));
let alertsAskedMs = -Infinity;
const hurryAlerts = poll(loadAlerts, 15_000, onOutcome("alerts"));

async function loadAlerts() {
  if (tenant === undefined) return;
  alertsAskedMs = performance.now();
  await alerts.load(tenant);
}

async function loadTenants() {
  const { tenants } = await client.get("/v1/tenants?limit=1000&partial=true");
  const names = tenants.map((item) => item.tenant);
  if (tenant !== undefined && !names.includes(tenant)) names.unshift(tenant);
  const picker = byId("tenant");
  const shown = [...picker.options].map((option) => option.value);
  if (names.join("\n") !== shown.join("\n")) picker.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
  const wanted = tenant ?? names[0];
  if (wanted === undefined) {
    list.showNothing();
    if (!stream.isFollowing) follow();
    return;
  }
  picker.value = wanted;
  if (picker.dataset.started === undefined) {
    picker.dataset.started = "true";
    picker.addEventListener("change", () => enter(picker.value));
    enter(wanted, deviceId);
  }
}

function enter(nextTenant, nextDevice) {
  tenant = nextTenant;
  deviceId = undefined;
  list.reset(tenant);
  alerts.reset(tenant);
  hurryList();
  hurryAlerts();
  if (nextDevice === undefined) stream.leave();
  else select(nextDevice);
}

async function loadList() {
  if (tenant === undefined) return;
  const asked = tenant;
  const [first] = await list.load(asked);
  if (asked !== tenant || deviceId !== undefined) return;
  if (first !== undefined) select(first);
  else if (!stream.isFollowing) follow();
}

function select(id) {
  deviceId = id;
  writeAddress(tenant, id);
  list.select(id);
  follow();
  panel.show(tenant, id).then(onOutcome("device"), onOutcome("device"));
}

function follow() {
  const query = new URLSearchParams({ sample: String(SAMPLE_PER_SECOND) });
  if (tenant !== undefined) query.set("tenant", tenant);
  if (deviceId !== undefined) query.set("focus", deviceId);
  stream.follow(`/v1/stream?${query}`);
}

function onEvent(type, data) {
  if (tenant === undefined) {
    hurryTenants();
  } else if (type === "normalized") {
    list.onRecord(data);
    panel.onRecord(data);
  } else if (type === "aggregate") {
    panel.onAggregate(data);
  } else if (type === "alert") {
    alerts.onAlert(data);
  } else if (type === "dropped") {
    // An alert may be among what was missed; under load that is told ten times a second.
    if (performance.now() - alertsAskedMs > MIN_ALERTS_INTERVAL_MS) hurryAlerts();
  }
}

let retryTimer;

function onStatus({ state, retryInMs }) {
  clearInterval(retryTimer);
  setAttribute(byId("connection"), "data-state", state);
  setAway(state === "disconnected");
  if (state === "live") {
    setText(byId("connection-text"), "Live");
    hurryAlerts();
    return;
  }
  if (state === "connecting") {
    setText(byId("connection-text"), "Connecting");
    return;
  }
  const untilMs = Date.now() + retryInMs;
  const count = () => setText(byId("connection-text"), `Disconnected, again in ${Math.max(0, Math.ceil((untilMs - Date.now()) / 1000))} s`);
  count();
  retryTimer = setInterval(count, 1000);
}

/** A notice for what the connection's state does not tell: the worker answers, but not with what was asked. */
const troubles = new Map();

function onOutcome(what) {
  return (error) => {
    const told = error !== undefined && "status" in error && error.status !== 404 ? `Not up to date: ${error.message}.` : undefined;
    if (told === undefined) troubles.delete(what);
    else troubles.set(what, told);
    const [first] = troubles.values();
    byId("notice").hidden = first === undefined;
    setText(byId("notice"), first ?? "");
    // What is neither the worker's answer nor the network is a fault of this page.
    if (error !== undefined && !("status" in error) && !(error instanceof TypeError) && !(error instanceof DOMException))
      reportError(error);
  };
}
