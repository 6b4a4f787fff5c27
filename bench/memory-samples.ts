/** Resident memory of a worker over time: the peak from /proc, and what its own metrics say holds it. */
import { readFileSync } from "node:fs";

const MIB = 1024 * 1024;

export interface PeakMemory {
  /** The kernel's own high-water mark: nothing between two samples is missed. */
  readonly rssMiB: number;
  /** Of the samples: memory that the kernel cannot take back, and mapped files (LevelDB's tables, node's program). */
  readonly anonMiB: number;
  readonly fileMiB: number;
}

export class MemorySamples {
  readonly #pid: number;
  readonly #url: string;
  #anon = 0;
  #file = 0;

  /** @param url of the worker's HTTP API */
  constructor(pid: number, url: string) {
    this.#pid = pid;
    this.#url = url;
  }

  take(): void {
    const status = this.#status();
    this.#anon = Math.max(this.#anon, mib(status, "RssAnon"));
    this.#file = Math.max(this.#file, mib(status, "RssFile"));
  }

  peak(): PeakMemory {
    return { rssMiB: mib(this.#status(), "VmHWM"), anonMiB: this.#anon, fileMiB: this.#file };
  }

  /** Seconds that the main thread gave to the garbage collector, by kind. */
  async gcSeconds(): Promise<Record<string, number>> {
    const found = (await this.#metrics()).matchAll(/^nodejs_gc_duration_seconds_(sum|count)\{kind="(\w+)"\} (\S+)/gm);
    return Object.fromEntries(
      [...found].map(([, what, kind, value]) => [`${kind}${what === "sum" ? "S" : "Count"}`, Math.round(Number(value) * 10) / 10]),
    );
  }

  /** One line of figures in MiB. */
  async line(): Promise<string> {
    const metrics = await this.#metrics();
    const value = (name: string): number =>
      Math.round(Number(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (\\S+)`, "m").exec(metrics)?.[1]) / MIB);
    const space = (name: string): string =>
      ["used", "size"]
        .map((kind) => value(`nodejs_heap_space_size_${kind === "used" ? "used" : "total"}_bytes{space="${name}"}`))
        .join("/");
    const status = this.#status();
    return [
      `rss ${mib(status, "VmRSS")} anon ${mib(status, "RssAnon")} file ${mib(status, "RssFile")}`,
      `external ${value("nodejs_external_memory_bytes")}`,
      ...["new", "old", "large_object", "new_large_object", "code", "trusted"].map((name) => `${name} ${space(name)}`),
      `unchecked ${value("sluice_uncheckpointed_bytes")}`,
    ].join(" ");
  }

  async #metrics(): Promise<string> {
    return (await fetch(`${this.#url}/metrics`)).text();
  }

  #status(): string {
    return readFileSync(`/proc/${this.#pid}/status`, "utf8");
  }
}

function mib(status: string, field: string): number {
  return Math.round(Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024);
}
