/** Raw events at a steady rate, event time the clock when the record is built, 5 % duplicates: as the peers' load (`shared/peers/stream-job`). */
import { setTimeout as delay } from "node:timers/promises";
import type { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { RecordSet } from "../eventlog/records/record-set.ts";
import { deviceKey } from "../processors/formats/names.ts";

const DEVICES = 10_000;
/** Every twentieth record is one of before. */
const DUPLICATE_EVERY = 20;
const DUPLICATE_DISTANCE = 2_000;
/** Between two writes. */
const TICK_MS = 2;
const BATCH_BYTES = 131_072;

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

  /** Events a second, for so many seconds; sequence numbers go on from the run before. */
  async run(rate: number, seconds: number): Promise<void> {
    const writer = this.#log.plainWriter({});
    const startedAt = performance.now();
    const set = new RecordSet(BATCH_BYTES);
    for (let sent = 0; sent < rate * seconds;) {
      const due = Math.min(rate * seconds, Math.floor(((performance.now() - startedAt) / 1_000) * rate));
      for (; sent < due; sent++) this.#append(set);
      if (set.recordCount > 0) await writer.write(set);
      set.clear();
      await delay(TICK_MS);
    }
    await writer.close();
  }

  #append(set: RecordSet): void {
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
    set
      .partition(this.#topic, partitionForKey(key, 0, key.length, this.#partitions))
      .append(now, key, 0, key.length, value, 0, value.length);
  }
}
