/** What goes on towards the device: what is desired of it beside what it says it is, and its newest commands. */
import { byId, make, setText } from "./dom.js";
import { time } from "./format.js";

/** Rows drawn: a shadow has at most 500 names, and nobody reads them all here. */
const MAX_VALUES = 60;
const MAX_TEXT = 60;

const DONE = { acknowledged: "good", failed: "bad", expired: "bad", rejected: "bad" };

/** The panel is made anew only when something in it changed: a person may be selecting text. */
let drawn = "";

/** @param {object | undefined} control the answer of …/control */
export function drawControl(control) {
  const { commands = null, shadow = null } = control ?? {};
  const panel = byId("control");
  panel.hidden = commands === null && shadow === null;
  const text = JSON.stringify([commands, shadow]);
  if (panel.hidden || text === drawn) return;
  drawn = text;
  byId("shadow-body").replaceChildren(...(shadow === null ? [] : values(shadow).slice(0, MAX_VALUES).map(valueRow)));
  byId("command-body").replaceChildren(...(commands ?? []).map(commandRow));
  setText(
    byId("shadow-note"),
    shadow === null ? "no shadow" : `version ${shadow.version}, ${shadow.delta === undefined ? "as desired" : "to do"}`,
  );
  setText(
    byId("command-note"),
    commands === null ? "commands are off" : commands.length === 0 ? "none remembered" : `the newest ${commands.length}`,
  );
}

/** Each value by its path, desired ones first. */
function values({ desired, reported, delta = {} }) {
  const [wanted, said, open] = [desired, reported, delta].map((state) => flat(state, ""));
  const paths = [...new Set([...wanted.keys(), ...said.keys()])];
  return paths.map((path) => ({ path, wanted: wanted.get(path), said: said.get(path), isOpen: open.has(path) }));
}

function flat(state, prefix, into = new Map()) {
  for (const [name, value] of Object.entries(state)) {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const isInner = typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
    if (isInner) flat(value, path, into);
    else into.set(path, JSON.stringify(value));
  }
  return into;
}

function valueRow({ path, wanted, said, isOpen }) {
  const row = make(
    "tr",
    {},
    make("th", { scope: "row" }, short(path)),
    make("td", {}, short(wanted ?? "–")),
    make("td", {}, short(said ?? "–")),
  );
  row.dataset.tone = isOpen ? "warn" : "plain";
  return row;
}

function commandRow({ id, name, state, reason, attempts, ts }) {
  const told = reason === undefined ? state : `${state}, ${reason}`;
  const cells = [short(id), told, String(attempts), time(ts)].map((cell) => make("td", {}, cell));
  const row = make("tr", {}, make("th", { scope: "row" }, short(name)), ...cells);
  row.dataset.tone = DONE[state] ?? "plain";
  return row;
}

function short(text) {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}
