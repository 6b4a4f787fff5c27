/**
 * The event stream over fetch (EventSource cannot send a token). Reconnects with a back-off that doubles, and
 * takes silence for a dead connection: the worker sends a heartbeat every 15 s.
 */
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 15_000;
const SILENCE_MS = 40_000;

/** @typedef {{state: "connecting" | "live" | "disconnected", retryInMs?: number}} StreamStatus */

export class LiveStream {
  #client;
  #onEvent;
  #onStatus;
  #abort = new AbortController();

  /**
   * @param {import("./api-client.js").ApiClient} client
   * @param {(type: string, data: any) => void} onEvent
   * @param {(status: StreamStatus) => void} onStatus
   */
  constructor(client, onEvent, onStatus) {
    this.#client = client;
    this.#onEvent = onEvent;
    this.#onStatus = onStatus;
  }

  isFollowing = false;

  /** Leaves the stream before, if there is one. */
  follow(path) {
    this.leave();
    this.isFollowing = true;
    this.#abort = new AbortController();
    void this.#run(path, this.#abort.signal);
  }

  leave() {
    this.isFollowing = false;
    this.#abort.abort();
  }

  async #run(path, signal) {
    let retryMs = FIRST_RETRY_MS;
    this.#onStatus({ state: "connecting" });
    while (!signal.aborted) {
      try {
        await this.#read(path, signal, () => {
          retryMs = FIRST_RETRY_MS;
          this.#onStatus({ state: "live" });
        });
      } catch (error) {
        // Whatever went wrong, the cure is the same: say so and try again. What is not ours to retry is thrown on.
        if (!signal.aborted && !isConnectionTrouble(error)) throw error;
      }
      if (signal.aborted) return;
      const waitMs = retryMs * (0.75 + Math.random() / 2);
      this.#onStatus({ state: "disconnected", retryInMs: waitMs });
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      retryMs = Math.min(MAX_RETRY_MS, retryMs * 2);
    }
  }

  async #read(path, signal, onOpen) {
    const silence = new AbortController();
    let timer;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new DOMException("nothing heard", "TimeoutError")), SILENCE_MS);
    };
    heard();
    try {
      const response = await this.#client.open(path, AbortSignal.any([signal, silence.signal]));
      onOpen();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        heard();
        const blocks = (text + part.value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) this.#deliver(block);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #deliver(block) {
    let type = "message";
    let data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) type = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (data !== "") this.#onEvent(type, JSON.parse(data));
  }
}

function isConnectionTrouble(error) {
  return error instanceof TypeError || error instanceof DOMException || "status" in error;
}
