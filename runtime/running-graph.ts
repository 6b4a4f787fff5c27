/** One task's instance of a sub-topology: processors made, wired and opened. */
import type { Subtopology } from "../topology/graph.ts";
import type { Outputs, Processor } from "../topology/processor.ts";
import { EdgeOutput } from "./edge-output.ts";
import type { Prefetch } from "./key-lookahead.ts";
import type { OutputCollector } from "./output-collector.ts";
import { SinkRunner } from "./sink-runner.ts";
import { TaskContext, type TaskServices } from "./task-context.ts";

export class RunningGraph {
  /** By source node name: where its records enter. */
  readonly entries = new Map<string, EdgeOutput>();
  readonly #processors: Processor<unknown, unknown, Outputs>[] = [];
  readonly #flushing: { flush(): void }[] = [];
  readonly #prefetching: { readonly prefetch: Prefetch }[] = [];
  readonly #readingAhead: { readAhead(sourceKey: unknown): void }[] = [];
  readonly #edges: EdgeOutput[] = [];

  constructor(subtopology: Subtopology, services: TaskServices, collector: OutputCollector, partitionsOf: (topic: string) => number) {
    const receivers = new Map<string, Processor<unknown, unknown, Outputs> | SinkRunner>();
    const outputsOf = new Map<string, Map<string, EdgeOutput>>();
    for (const node of subtopology.processors) {
      const processor = node.spec.create();
      receivers.set(node.name, processor);
      this.#processors.push(processor);
      if (processor.prefetch !== undefined) this.#prefetching.push(processor as { readonly prefetch: Prefetch });
      if (processor.readAhead !== undefined) this.#readingAhead.push(processor as { readAhead(sourceKey: unknown): void });
      if (processor.flush !== undefined) this.#flushing.push(processor as { flush(): void });
      outputsOf.set(node.name, new Map([...node.outputs].map(([name, children]) => [name, new EdgeOutput(node.name, children)])));
    }
    for (const node of subtopology.sinks) receivers.set(node.name, new SinkRunner(node, collector, partitionsOf(node.topic), services));
    for (const source of subtopology.sources) this.entries.set(source.name, new EdgeOutput(source.name, source.children));

    this.#edges.push(...this.entries.values(), ...[...outputsOf.values()].flatMap((outputs) => [...outputs.values()]));
    for (const edge of this.#edges) {
      for (const name of edge.to) {
        const receiver = receivers.get(name);
        if (receiver === undefined) throw new Error(`node "${name}" is not in sub-topology ${subtopology.id}`);
        edge.connect(receiver);
      }
    }
    subtopology.processors.forEach((node, index) => {
      const stores = new Set((node.spec.stores ?? []).map((store) => store.name));
      this.#processors[index].init?.(new TaskContext(services, node.name, stores, outputsOf.get(node.name) ?? new Map()));
    });
  }

  /** After the stores are restored. */
  async open(): Promise<void> {
    for (const processor of this.#processors) await processor.open?.();
  }

  prefetch(sourceKeys: readonly unknown[], count: number): void {
    const processors = this.#prefetching;
    for (let i = 0; i < processors.length; i++) processors[i].prefetch(sourceKeys, count);
  }

  get readsAhead(): boolean {
    return this.#readingAhead.length > 0;
  }

  readAhead(key: unknown): void {
    const processors = this.#readingAhead;
    for (let i = 0; i < processors.length; i++) processors[i].readAhead(key);
  }

  /** Upstream first, so that what one flush forwards is in place before a later one runs. */
  flush(): void {
    for (const processor of this.#flushing) processor.flush();
  }

  close(): void {
    for (const processor of this.#processors) processor.close?.();
  }

  /** Cumulative count of every edge. */
  edgeCounts(): { from: string; to: string; records: number }[] {
    return this.#edges.flatMap((edge) => edge.to.map((to) => ({ from: edge.from, to, records: edge.forwarded })));
  }
}
