/** Draws the topology once, then only its rates: records a second over each edge, drawn as flow. */
import { makeSvg, setAttribute, setText } from "./dom.js";
import { rate } from "./format.js";
import { layOut } from "./topology-layout.js";

const ROW_SPACE = 20;
const NODE_HEIGHT = 40;
/** Room for a rate between two columns; stretched when the panel is wider than the graph. */
const MIN_GAP = 84;
const MAX_GAP = 190;
const MARGIN = 10;
const CHAR = 7.3;
const MIN_NODE_WIDTH = 96;
const STORE_HEIGHT = 19;
/** Stores overlap the node, and each other, a little: they belong together. */
const STORE_STEP = 18;

export class TopologyGraph {
  #flows = new Map();

  /**
   * @param {{nodes: {name: string, kind: string, topic?: string}[], edges: {from: string, to: string}[]}} topology
   * @param {number} roomPx width to fill, where the graph can
   */
  constructor({ nodes, edges }, roomPx) {
    const kinds = new Map(nodes.map((node) => [node.name, node.kind]));
    const isState = (edge) => kinds.get(edge.from) === "store" || kinds.get(edge.to) === "store";
    const flows = edges.filter((edge) => !isState(edge) && kinds.has(edge.from) && kinds.has(edge.to));
    const owners = storeOwners(edges.filter(isState), kinds);
    const drawn = nodes.filter((node) => node.kind !== "store");
    const { columns, routes } = layOut(
      drawn.map((node) => node.name),
      flows,
    );
    const { places, width, top, height } = place(columns, new Map(drawn.map((node) => [node.name, node])), owners, roomPx);
    const paths = flows.map((edge) =>
      this.#edge(
        edge,
        routes.get(key(edge)).map((name) => places.get(name)),
      ),
    );
    this.element = makeSvg(
      "svg",
      {
        class: "graph",
        width,
        height,
        viewBox: `0 ${top} ${width} ${height}`,
        role: "img",
        "aria-label": `Topology with ${drawn.length} nodes`,
      },
      ...paths.map(({ lines }) => lines),
      ...drawn.map((node) => drawNode(node, places.get(node.name), owners.get(node.name) ?? [])),
      ...paths.map(({ label }) => label),
    );
  }

  /** @param {{from: string, to: string, perSecond: number}[]} rates */
  setRates(rates) {
    for (const edge of rates) {
      const flow = this.#flows.get(key(edge));
      if (flow === undefined) continue;
      setText(flow.label, edge.perSecond > 0 ? `${rate(edge.perSecond)}/s` : "");
      setAttribute(flow.line, "visibility", edge.perSecond > 0 ? "visible" : "hidden");
      setAttribute(flow.line, "stroke-width", (1.25 + Math.min(3, Math.log10(1 + edge.perSecond) * 0.55)).toFixed(1));
    }
  }

  #edge(edge, stops) {
    const d = curve(stops);
    const line = makeSvg("path", { class: "flow", d, visibility: "hidden" });
    const at = labelPoint(stops[0], stops[1]);
    const label = makeSvg("text", { class: "rate", x: at.x, y: at.y - 7 });
    this.#flows.set(key(edge), { line, label });
    return { lines: makeSvg("g", {}, makeSvg("path", { class: "edge", d }), line), label };
  }
}

function key({ from, to }) {
  return `${from}\n${to}`;
}

/** Stores are drawn under the node that has them. */
function storeOwners(edges, kinds) {
  const owners = new Map();
  for (const { from, to } of edges) {
    const [store, owner] = kinds.get(from) === "store" ? [from, to] : [to, from];
    const stores = owners.get(owner) ?? [];
    if (!stores.includes(store)) owners.set(owner, [...stores, store]);
  }
  return owners;
}

function place(columns, nodes, owners, roomPx) {
  const storesOf = (name) => owners.get(name) ?? [];
  const widths = columns.map((column) =>
    Math.max(MIN_NODE_WIDTH, ...column.map((name) => (nodes.has(name) ? nodeWidth(nodes.get(name), storesOf(name)) : 0))),
  );
  const free = roomPx - MARGIN * 2 - widths.reduce((sum, width) => sum + width, 0);
  const gap = Math.min(MAX_GAP, Math.max(MIN_GAP, free / Math.max(1, columns.length - 1)));
  const places = new Map();
  let left = MARGIN;
  let [top, bottom] = [0, 0];
  for (const [at, column] of columns.entries()) {
    const heights = column.map((name) => NODE_HEIGHT + storesOf(name).length * STORE_STEP);
    // Centred on the line y = 0 from the first node to the last, whose stores hang below: so that a lone chain is straight.
    const drawn = heights.slice(0, -1).reduce((sum, height) => sum + height + ROW_SPACE, NODE_HEIGHT);
    let y = -drawn / 2;
    top = Math.min(top, y);
    for (const [index, name] of column.entries()) {
      places.set(name, { left, right: left + widths[at], y: y + NODE_HEIGHT / 2, width: widths[at] });
      y += heights[index] + ROW_SPACE;
    }
    bottom = Math.max(bottom, y - ROW_SPACE);
    left += widths[at] + gap;
  }
  return { places, width: left - gap + MARGIN, top: top - MARGIN, height: bottom - top + MARGIN * 2 };
}

/** On the curve, past its middle: edges part from one node, so their ends are further from each other than their starts. */
function labelPoint(a, b) {
  const t = a.y === b.y ? 0.5 : 0.66;
  const middle = (a.right + b.left) / 2;
  const weight = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3];
  const mix = (...values) => values.reduce((sum, each, index) => sum + each * weight[index], 0);
  return { x: mix(a.right, middle, middle, b.left), y: mix(a.y, a.y, b.y, b.y) };
}

function nodeWidth(node, stores) {
  const longest = Math.max(node.name.length, (node.topic ?? "").length * 0.86, ...stores.map((store) => store.length * 0.9 + 2));
  return Math.min(230, longest * CHAR + 28);
}

function curve(stops) {
  let d = `M${stops[0].right},${stops[0].y}`;
  for (let n = 1; n < stops.length; n++) {
    const [a, b] = [stops[n - 1], stops[n]];
    const middle = (a.right + b.left) / 2;
    d += `C${middle},${a.y} ${middle},${b.y} ${b.left},${b.y}`;
    if (n < stops.length - 1) d += `L${b.right},${b.y}`;
  }
  return d;
}

function drawNode({ name, kind, topic }, { left, y, width }, stores) {
  const top = y - NODE_HEIGHT / 2;
  const text = (className, content, dy) =>
    makeSvg("text", { class: className, x: left + width / 2, y: y + dy, "text-anchor": "middle" }, shorten(content));
  const hasTopic = topic !== undefined && topic !== name;
  return makeSvg(
    "g",
    { class: `node ${kind}` },
    makeSvg("title", {}, topic === undefined ? name : `${name}: ${topic}`),
    makeSvg("rect", { x: left, y: top, width, height: NODE_HEIGHT, rx: kind === "processor" ? 8 : NODE_HEIGHT / 2 }),
    text("", name, hasTopic ? -2 : 4.5),
    ...(hasTopic ? [text("sub", topic, 13)] : []),
    ...stores.map((store, index) => drawStore(store, left + 8, top + NODE_HEIGHT - 2 + index * STORE_STEP, width - 16)),
  );
}

function drawStore(name, left, top, width) {
  return makeSvg(
    "g",
    { class: "store" },
    makeSvg("rect", { x: left, y: top, width, height: STORE_HEIGHT, rx: 4 }),
    makeSvg("text", { x: left + width / 2, y: top + 14, "text-anchor": "middle" }, shorten(name)),
  );
}

function shorten(text) {
  return text.length <= 30 ? text : `${text.slice(0, 29)}…`;
}
