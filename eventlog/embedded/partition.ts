/** Offsets of one partition: handed out, stable, kept. The data itself is in the database. */
import type { TopicPartition } from "../port.ts";
import type { TopicConfig } from "./topic-config.ts";

/** Offsets that a write has taken and that are not decided yet. */
export interface Reservation {
  readonly baseOffset: number;
  decided: boolean;
}

export class Partition implements TopicPartition {
  readonly topic: string;
  readonly topicId: number;
  readonly partition: number;
  readonly config: TopicConfig;
  /** First offset kept; moved by retention and deleteRecords. */
  start: number;
  /** Everything below was compacted. */
  compactedTo: number;
  /** Its topic is gone: nothing may be written any more. */
  deleted = false;
  #end: number;
  /** In offset order; the first is never decided. As many as there are writes under way and open transactions' writes. */
  readonly #reservations: Reservation[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(
    topic: { name: string; id: number; config: TopicConfig },
    partition: number,
    kept: { start: number; end: number; compactedTo: number },
  ) {
    this.topic = topic.name;
    this.topicId = topic.id;
    this.partition = partition;
    this.config = topic.config;
    this.start = kept.start;
    this.compactedTo = kept.compactedTo;
    this.#end = kept.end;
  }

  /** The next offset that a write will get. */
  get end(): number {
    return this.#end;
  }

  /** Last stable offset: readers stop here, as what follows is not decided. */
  get stable(): number {
    return this.#reservations.length === 0 ? this.#end : this.#reservations[0].baseOffset;
  }

  /** Takes the next `count` offsets; `decide` must follow. */
  reserve(count: number): Reservation {
    const reservation = { baseOffset: this.#end, decided: false };
    this.#reservations.push(reservation);
    this.#end += count;
    return reservation;
  }

  /** The records are durable, or will never be. */
  decide(reservation: Reservation): void {
    reservation.decided = true;
    const before = this.stable;
    let decided = 0;
    while (decided < this.#reservations.length && this.#reservations[decided].decided) decided++;
    this.#reservations.splice(0, decided);
    if (this.stable !== before) this.notify();
  }

  /** Calls the listener whenever the stable offset has moved, or the partition is gone. */
  listen(listener: () => void): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
