/** Whether a device is there, in words. A device's reason is its own text: it goes in as text, and not at any length. */
import { byId, setAttribute, setText } from "./dom.js";
import { ago, time } from "./format.js";

const DAY_MS = 86_400_000;
const MAX_REASON = 60;
const REASONS = { telemetry: "it sends telemetry", state: "it said so", silence: "nothing heard" };

/** For a row of the list; undefined where what was received last says more. */
export function presenceLabel(presence, now = Date.now()) {
  if (presence?.status !== "offline" && presence?.status !== "stale") return undefined;
  return `${presence.status} ${ago(presence.sinceTs, now)}`;
}

/** @param {object | null | undefined} presence null: nothing was ever told of it; undefined: it is not known, or presence is off */
export function drawPresence(presence, now = Date.now()) {
  const line = byId("device-presence");
  line.hidden = presence === undefined;
  if (presence === undefined) return;
  setAttribute(line, "data-status", presence?.status ?? "unknown");
  setText(line.lastElementChild, presence === null ? "presence unknown" : words(presence, now));
}

function words({ status, reason, sinceTs, gateway }, now) {
  const since = now - sinceTs < DAY_MS ? `${time(sinceTs)} (${ago(sinceTs, now)})` : `${ago(sinceTs, now)} ago`;
  const why = Object.hasOwn(REASONS, reason) ? REASONS[reason] : short(reason);
  return [`${status} since ${since}`, why, ...(gateway === undefined ? [] : [`gateway ${short(gateway)}`])].join("  ·  ");
}

function short(text) {
  return text.length > MAX_REASON ? `${text.slice(0, MAX_REASON)}…` : text;
}
