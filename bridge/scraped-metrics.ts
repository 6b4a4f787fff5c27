/** Numbers for Prometheus that are read from a service's own counters when they are scraped: counting costs no metric call. */
import { Counter, Gauge, type Registry } from "prom-client";

export class ScrapedMetrics<Stats> {
  readonly #registry: Registry;
  readonly #prefix: string;
  readonly #stats: () => Stats;

  /** @param prefix of every name, e.g. `sluice_ingress_` */
  constructor(registry: Registry, prefix: string, stats: () => Stats) {
    this.#registry = registry;
    this.#prefix = prefix;
    this.#stats = stats;
  }

  counter(name: string, help: string, value: (stats: Stats) => number): void {
    const read = (): number => value(this.#stats());
    new Counter({
      ...this.#named(name, help),
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  /** One label, and a count for each of its values. */
  counters(name: string, help: string, label: string, values: (stats: Stats) => Readonly<Record<string, number>>): void {
    this.labelled(name, help, [label], (stats) =>
      Object.entries(values(stats)).map(([value, count]) => ({ labels: { [label]: value }, count })),
    );
  }

  /** A count for each set of labels. */
  labelled(
    name: string,
    help: string,
    labelNames: readonly string[],
    rows: (stats: Stats) => readonly { readonly labels: Record<string, string>; readonly count: number }[],
  ): void {
    const read = () => rows(this.#stats());
    new Counter({
      ...this.#named(name, help),
      labelNames: [...labelNames],
      collect() {
        this.reset();
        for (const { labels, count } of read()) this.inc(labels, count);
      },
    });
  }

  gauge(name: string, help: string, value: (stats: Stats) => number): void {
    const read = (): number => value(this.#stats());
    new Gauge({
      ...this.#named(name, help),
      collect() {
        this.set(read());
      },
    });
  }

  #named(name: string, help: string): { name: string; help: string; registers: Registry[] } {
    return { name: `${this.#prefix}${name}`, help, registers: [this.#registry] };
  }
}
