/**
 * Raw events at a steady rate, event time the clock when the record is built, 5 % duplicates: as the peers' load (`shared/peers/stream-job`).
 * As theirs, it goes on while a write waits for the broker: what comes meanwhile is the slowest there is ("coordinated omission").
 */
import { setTimeout as delay } from "node:timers/promises";
import type { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import type { PlainWriter } from "../eventlog/port.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { deviceKey } from "../processors/formats/names.ts";

const DEVICES = 10_000;
/** Every twentieth record is one of before. */
const DUPLICATE_EVERY = 20;
const DUPLICATE_DISTANCE = 2_000;
/** Between two looks at what is due. */
const TICK_MS = 2;

export interface LoadRun {
  /** The longest that an event was built after it was due: the load was kept from its core. */
  readonly maxSendLagMs: number;
}

export class SteadyLoad {
  readonly #log: KafkaLog;
  readonly #topic: string;
  readonly #partitions: number;
  #next = 0;

  constructor(log: KafkaLog, topic: string, partitions: number) {
    this.#log = log;
    this.#topic = topic;
    this.#partitions = partitions;
  }

  /** Of all runs. */
  get sent(): number {
    return this.#next;
  }

  /** Events a second, for so many seconds; sequence numbers go on from the run before. Resolves when all are written. */
  async run(rate: number, seconds: number): Promise<LoadRun> {
    const writer = this.#log.plainWriter({});
    let failure: Error | undefined;
    const done = (error: Error | undefined): void => {
      failure ??= error;
    };
    let maxSendLagMs = 0;
    const startedAt = performance.now();
    for (let sent = 0; sent < rate * seconds && failure === undefined;) {
      const elapsedMs = performance.now() - startedAt;
      const due = Math.min(rate * seconds, Math.floor((elapsedMs * rate) / 1_000));
      maxSendLagMs = Math.max(maxSendLagMs, elapsedMs - (sent * 1_000) / rate);
      for (; sent < due; sent++) this.#send(writer, done);
      void writer.flush(); // at once: what is due has had its wait for company
      await delay(TICK_MS);
      await writer.ready();
    }
    await writer.close();
    if (failure !== undefined) throw failure;
    return { maxSendLagMs: Math.round(maxSendLagMs) };
  }

  #send(writer: PlainWriter, done: (error: Error | undefined) => void): void {
    const isDuplicate = this.#next % DUPLICATE_EVERY === DUPLICATE_EVERY - 1;
    const event = isDuplicate ? Math.max(0, this.#next - DUPLICATE_DISTANCE) : this.#next;
    this.#next++;
    const deviceId = `device-${event % DEVICES}`;
    const now = Date.now();
    const key = Buffer.from(deviceKey("demo", deviceId));
    const seq = Math.floor(event / DEVICES);
    const value = Buffer.from(
      `{"deviceId":"${deviceId}","bootId":"b1","seq":${seq},"ts":${now},"tempC":${20 + (event % 997) / 100},"rpm":${1_000 + (event % 503)}}`,
    );
    const to = { topic: this.#topic, partition: partitionForKey(key, 0, key.length, this.#partitions) };
    writer.send(to, key, value, undefined, now, done);
  }
}
