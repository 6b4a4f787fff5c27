import type { EventLog, LogReader } from "../../../eventlog/port.ts";
import { partitionsOf } from "../../support/telemetry.ts";
import type { Tally } from "./tally.ts";

const POLL_MS = 100;

/** Reads a topic from its beginning on into a tally, while the bridge writes it. */
export class Follower {
  readonly #log: EventLog;
  readonly #topic: string;
  readonly #reader: LogReader;
  readonly #tally: Tally;
  readonly #positions = new Map<number, number>();
  readonly #running: Promise<void>;
  #stopping = false;

  static async start(log: EventLog, topic: string, tally: Tally): Promise<Follower> {
    const reader = log.reader({ isolation: "read_committed" });
    reader.assign((await partitionsOf(log, topic)).map((partition) => ({ ...partition, offset: 0 })));
    return new Follower(log, topic, reader, tally);
  }

  private constructor(log: EventLog, topic: string, reader: LogReader, tally: Tally) {
    this.#log = log;
    this.#topic = topic;
    this.#reader = reader;
    this.#tally = tally;
    this.#running = this.#follow();
  }

  /** Reads on to where the topic ends now. */
  async finish(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    const ends = await this.#log.admin.listOffsets(await partitionsOf(this.#log, this.#topic), "latest", "read_committed");
    while (ends.some(({ partition, offset }) => (this.#positions.get(partition) ?? 0) < offset)) await this.#read();
    await this.#reader.close();
  }

  async #follow(): Promise<void> {
    while (!this.#stopping) await this.#read();
  }

  async #read(): Promise<void> {
    for (const { partition, records, nextOffset } of await this.#reader.poll(POLL_MS)) {
      for (let i = 0; i < records.count; i++) {
        const value = records.value(i);
        this.#tally.add(value === null ? null : Buffer.from(value));
      }
      this.#positions.set(partition, nextOffset);
    }
  }
}
