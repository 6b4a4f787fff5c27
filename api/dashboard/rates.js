/** Rates out of counts: the difference of two answers of /v1/topology of the same workers, a few seconds apart. */

/** Answers that a rate spans, at one a second: an edge with a record now and then must not blink. */
const SPAN = 6;

export class Rates {
  /** Oldest first, all of the same workers. */
  #past = [];

  /** Records per second over each edge; undefined for the first answer, and when a worker came, went or began anew. */
  next({ edges, workers }) {
    const now = {
      atMs: performance.now(),
      counts: new Map(edges.map((edge) => [`${edge.from}\n${edge.to}`, edge.records])),
      who: workers.join("\n"),
    };
    const sameWorkers = this.#past.at(-1)?.who === now.who;
    const wentBack = edges.some(({ from, to, records }) => records < (this.#past.at(-1)?.counts.get(`${from}\n${to}`) ?? 0));
    this.#past = [...(sameWorkers && !wentBack ? this.#past : []), now].slice(-SPAN);
    if (this.#past.length === 1) return undefined;
    const [first] = this.#past;
    const seconds = (now.atMs - first.atMs) / 1000;
    return edges.map(({ from, to, records }) => ({ from, to, perSecond: (records - (first.counts.get(`${from}\n${to}`) ?? 0)) / seconds }));
  }
}
