/** The ledger's counts, and for each boot a strip of the sequence numbers seen and missing. */
import { byId, make, makeSvg, setAttribute, setChildren, setText } from "./dom.js";
import { count, time } from "./format.js";

const COUNTS = [
  ["received", "Received"],
  ["duplicates", "Duplicates"],
  ["outOfOrder", "Out of order"],
  ["late", "Late"],
  ["gapsOpen", "Gaps open", "warn"],
  ["lost", "Lost", "bad"],
  ["reboots", "Reboots"],
  ["withoutIdentity", "No identity"],
];
const MAX_BOOTS = 3;
/** Drawn gaps a strip: more would be less than a pixel apart. */
const MAX_GAPS = 400;
const STRIP_WIDTH = 1000;
/** A single lost number among millions must still be seen. */
const MIN_GAP_WIDTH = 4;

const tiles = new Map();

/** @param {object | undefined} ledger the answer of …/ledger */
export function drawLedger(ledger) {
  for (const [field, label, tone] of COUNTS) {
    const number = ledger?.[field] ?? 0;
    const tile = tiles.get(field) ?? makeTile(field, label);
    setText(tile.lastChild, ledger === undefined ? "–" : count(number));
    setAttribute(tile, "data-tone", number > 0 && tone !== undefined ? tone : "plain");
  }
  const boots = [...(ledger?.boots ?? [])].sort((a, b) => b.lastTs - a.lastTs);
  setText(byId("ledger-note"), ledger === undefined ? "nothing known yet" : `since ${time(ledger.firstTs)}`);
  setChildren(
    byId("ledger-boots"),
    boots
      .filter((boot) => boot.intervals.length > 0)
      .slice(0, MAX_BOOTS)
      .map(strip),
  );
}

function makeTile(field, label) {
  const tile = make("div", {}, make("dt", {}, label), make("dd"));
  byId("ledger-counts").append(tile);
  tiles.set(field, tile);
  return tile;
}

function strip({ bootId, implicit, intervals }) {
  const from = intervals[0][0];
  const to = intervals.at(-1)[1];
  const scale = STRIP_WIDTH / (to - from + 1);
  const missing = intervals.slice(1).map(([start], index) => [intervals[index][1] + 1, start - 1]);
  const total = missing.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const gaps = missing.slice(-MAX_GAPS).map(([first, last]) => {
    const width = Math.max(MIN_GAP_WIDTH, (last - first + 1) * scale);
    return makeSvg("rect", { class: "gap", x: Math.min((first - from) * scale, STRIP_WIDTH - width), y: 0, width, height: 14 });
  });
  const told = `sequence ${from} to ${to}, ${total === 0 ? "none missing" : `${total} missing`}`;
  const picture = makeSvg(
    "svg",
    { class: "coverage", viewBox: `0 0 ${STRIP_WIDTH} 14`, preserveAspectRatio: "none", role: "img", "aria-label": told },
    makeSvg("rect", { class: "seen", x: 0, y: 0, width: STRIP_WIDTH, height: 14 }),
    ...gaps,
  );
  const label = implicit ? "Boot not named by the device" : `Boot ${bootId}`;
  return make(
    "div",
    {},
    make("div", { class: "boot-label" }, make("span", {}, label), make("span", {}, `${count(from)} – ${count(to)}`)),
    picture,
  );
}
