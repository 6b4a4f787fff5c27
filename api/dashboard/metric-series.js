/** What a chart of one metric shows: live points and the windows before them, on one time axis, bounded. */

/** An hour at one a second. */
const MAX_POINTS = 3600;
/** As many as the API gives at once. */
const MAX_WINDOWS = 1000;

export class MetricSeries {
  /** By time: [ms, value]. */
  #points = [];
  /** By time: [ms of the middle, min, mean, max]. */
  #windows = [];

  get newestMs() {
    return Math.max(this.#points.at(-1)?.[0] ?? -Infinity, this.#windows.at(-1)?.[0] ?? -Infinity);
  }

  get oldestMs() {
    return Math.min(this.#points[0]?.[0] ?? Infinity, this.#windows[0]?.[0] ?? Infinity);
  }

  addPoint(ms, value) {
    insert(this.#points, [ms, value], MAX_POINTS);
  }

  addWindow({ start, end }, { min, mean, max }) {
    insert(this.#windows, [(start + end) / 2, min, mean, max], MAX_WINDOWS);
  }

  /** uPlot's columns: seconds, max, min, mean, live. Null where a series has no value at that time. */
  columns(fromMs) {
    const columns = [[], [], [], [], []];
    const points = this.#points;
    const windows = this.#windows;
    let p = firstFrom(points, fromMs);
    let w = firstFrom(windows, fromMs);
    while (p < points.length || w < windows.length) {
      const ms = Math.min(points[p]?.[0] ?? Infinity, windows[w]?.[0] ?? Infinity);
      const window = windows[w]?.[0] === ms ? windows[w++] : undefined;
      const point = points[p]?.[0] === ms ? points[p++] : undefined;
      columns[0].push(ms / 1000);
      columns[1].push(window?.[3] ?? null);
      columns[2].push(window?.[1] ?? null);
      columns[3].push(window?.[2] ?? null);
      columns[4].push(point?.[1] ?? null);
    }
    return columns;
  }
}

/** Nearly always at the end. The same time replaces: a window is final, and one pixel shows one value. */
function insert(rows, row, max) {
  let at = rows.length;
  while (at > 0 && rows[at - 1][0] > row[0]) at -= 1;
  if (at > 0 && rows[at - 1][0] === row[0]) rows[at - 1] = row;
  else rows.splice(at, 0, row);
  if (rows.length > max) rows.shift();
}

/** One before the range too, so that lines come in from the edge. */
function firstFrom(rows, fromMs) {
  const index = rows.findIndex((row) => row[0] >= fromMs);
  return index === -1 ? Math.max(0, rows.length - 1) : Math.max(0, index - 1);
}
