/** Reads server-sent events; each wait has a deadline. */
import type { TestContext } from "node:test";
import { waitFor } from "../../../support/wait-for.ts";

export interface SseEvent {
  readonly event: string | undefined;
  readonly id: string | undefined;
  readonly data: string;
}

export class SseReader {
  readonly #events: SseEvent[] = [];
  readonly #abort = new AbortController();
  #ended: "orderly" | "broken" | undefined;

  /** Resolves when the answer's head is there: from then on nothing that is pushed is missed. */
  static async open(t: TestContext, url: string, headers: Record<string, string> = {}): Promise<SseReader> {
    const reader = new SseReader();
    t.after(() => reader.close());
    const response = await fetch(url, { headers, signal: reader.#abort.signal });
    if (response.status !== 200 || response.body === null) throw new Error(`stream answered ${response.status}`);
    void reader.#read(response.body);
    return reader;
  }

  take(count: number): Promise<SseEvent[]> {
    return waitFor(`${count} events`, () => this.#events.length >= count && this.#events.splice(0, count));
  }

  ended(): Promise<"orderly" | "broken"> {
    return waitFor("the stream's end", () => this.#ended);
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = "";
    const decoder = new TextDecoder();
    try {
      for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
        text += decoder.decode(chunk, { stream: true });
        const blocks = text.split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) if (block.includes("data: ")) this.#events.push(parse(block));
      }
    } catch (error) {
      // An aborted fetch or a connection that was cut; the test sees it by ended().
      if (!(error instanceof Error)) throw error;
      this.#ended = "broken";
      return;
    }
    this.#ended = "orderly";
  }
}

function parse(block: string): SseEvent {
  const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
  return { event: field("event"), id: field("id"), data: field("data") ?? "" };
}
