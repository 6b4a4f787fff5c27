/** Rates out of counts: the difference of two answers of /v1/topology of the same workers. */

export class Rates {
  #last;

  /** Records per second over each edge; undefined for the first answer, and when a worker came, went or began anew. */
  next({ edges, workers }) {
    const now = {
      atMs: performance.now(),
      counts: new Map(edges.map((edge) => [`${edge.from}\n${edge.to}`, edge.records])),
      who: workers.join("\n"),
    };
    const last = this.#last;
    this.#last = now;
    if (last === undefined || last.who !== now.who) return undefined;
    const seconds = (now.atMs - last.atMs) / 1000;
    const rates = edges.map(({ from, to, records }) => ({
      from,
      to,
      perSecond: (records - (last.counts.get(`${from}\n${to}`) ?? 0)) / seconds,
    }));
    return rates.some(({ perSecond }) => perSecond < 0) ? undefined : rates;
  }
}
