/**
 * Where the graph's nodes go: columns by longest path from a source, rows by the mean row of their neighbours
 * (Sugiyama's barycentre), with a place kept in every column that a long edge crosses. Pure.
 */
const SWEEPS = 8;

/**
 * @param {string[]} names
 * @param {{from: string, to: string}[]} edges
 * @returns {{columns: string[][], routes: Map<string, string[]>}} `routes`: by "from\nto", the places an edge goes through, ends included
 */
export function layOut(names, edges) {
  const column = longestPaths(names, edges);
  const columns = Array.from({ length: Math.max(0, ...column.values()) + 1 }, () => []);
  for (const name of names) columns[column.get(name)].push(name);
  const routes = new Map();
  const links = [];
  for (const { from, to } of edges) {
    const route = [from];
    for (let at = column.get(from) + 1; at < column.get(to); at++) {
      const place = `${from}\n${to}\n${at}`;
      columns[at].push(place);
      route.push(place);
    }
    route.push(to);
    routes.set(`${from}\n${to}`, route);
    for (let n = 1; n < route.length; n++) links.push([route[n - 1], route[n]]);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) order(columns, links, sweep % 2 === 0);
  return { columns, routes };
}

function longestPaths(names, edges) {
  const column = new Map(names.map((name) => [name, 0]));
  // A cycle would go on for ever; no path is longer than the number of nodes.
  for (let round = 0, moved = true; moved && round < names.length; round++) {
    moved = false;
    for (const { from, to } of edges) {
      if (from === to || column.get(to) > column.get(from)) continue;
      column.set(to, column.get(from) + 1);
      moved = true;
    }
  }
  return column;
}

function order(columns, links, forward) {
  const row = new Map(columns.flatMap((places) => places.map((place, index) => [place, index - (places.length - 1) / 2])));
  for (const places of forward ? columns : [...columns].reverse()) {
    const wish = new Map();
    for (const place of places) {
      const near = links.filter((link) => link[forward ? 1 : 0] === place).map((link) => row.get(link[forward ? 0 : 1]));
      wish.set(place, near.length === 0 ? row.get(place) : near.reduce((sum, each) => sum + each, 0) / near.length);
    }
    places.sort((a, b) => wish.get(a) - wish.get(b));
    places.forEach((place, index) => row.set(place, index - (places.length - 1) / 2));
  }
}
