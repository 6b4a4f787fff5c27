/** Windows by each device's own time: final when that passes end + grace, or when the partition's receive time is `idleMs` past the last record. */
import type { Output, StreamRecord } from "../topology/processor.ts";
import type { TelemetryEvent } from "./event.ts";
import type { AggregateRecord } from "./formats/records.ts";
import type { WindowSettings } from "./settings.ts";
import { WindowList, WindowNode } from "./window-list.ts";
import type { WindowRows } from "./window-row.ts";
import { WindowSet, type Clocks, type WindowCounters } from "./window-set.ts";

/** Stubs dropped at one record: keeps a single record's work short. */
const MAX_STUBS_PER_RECORD = 16;

export class DeviceWindows extends WindowSet {
  readonly #idleMs: number;
  /** How long a stub outlives its window when its device never comes back. Receive time. */
  readonly #stubMs: number;
  /** Windows of a device, the earliest first, linked by `sibling`. */
  readonly #devices = new Map<string, WindowNode>();
  /** The device that advance() was last called for, and its first window: add() for the same record needs no look-up. */
  #currentKey: string | undefined;
  #currentFirst: WindowNode | undefined;
  /** By the receive time of their last record. */
  readonly #open = new WindowList();
  /** By the receive time of their close. */
  readonly #stubs = new WindowList();

  constructor(
    settings: WindowSettings,
    stubMs: number,
    rows: WindowRows,
    aggregates: Output<string, AggregateRecord>,
    counters: WindowCounters,
  ) {
    super(settings, rows, aggregates, counters);
    this.#idleMs = settings.idleMs;
    this.#stubMs = stubMs;
  }

  override advance(key: string, clocks: Clocks): void {
    this.advanceIdle(clocks);
    let node = this.#devices.get(key);
    while (node !== undefined && node.start + this.finalAfterMs <= clocks.deviceTime) {
      const next = node.sibling;
      node.list?.remove(node);
      if (next === undefined) this.#devices.delete(key);
      else this.#devices.set(key, next);
      this.close(key, node.start, false, clocks.receiveTime);
      node = next;
    }
    this.#currentKey = key;
    this.#currentFirst = node;
  }

  override advanceIdle({ receiveTime }: Clocks): void {
    for (let node = this.#open.head; node !== undefined && node.since + this.#idleMs <= receiveTime; node = this.#open.head)
      this.#closeIdle(node, receiveTime);
    for (let dropped = 0; dropped < MAX_STUBS_PER_RECORD; dropped++) {
      const stub = this.#stubs.head;
      if (stub === undefined || stub.since + this.#stubMs > receiveTime) break;
      this.#stubs.remove(stub);
      this.#unlink(stub);
      this.forget(stub.key, stub.start);
    }
  }

  override closeAll(receiveTime: number): void {
    for (let node = this.#open.head; node !== undefined; node = this.#open.head) this.#closeIdle(node, receiveTime);
  }

  override add(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): boolean {
    const { key } = record;
    const start = this.startOf(record.value.ts);
    if (start + this.finalAfterMs <= clocks.deviceTime) return false;
    const known = this.#find(key, start);
    if (known !== undefined && known.list === this.#stubs) return false;
    const node = known ?? this.#link(new WindowNode(key, start));
    this.#open.append(node, clocks.receiveTime);
    this.aggregate(known === undefined ? undefined : this.row(key, start), record, start, clocks.receiveTime);
    return true;
  }

  protected override clear(): void {
    this.#devices.clear();
    this.#currentKey = undefined;
    this.#open.clear();
    this.#stubs.clear();
  }

  protected override restore(key: string, start: number, closed: boolean, lastReceiveTs: number): void {
    (closed ? this.#stubs : this.#open).append(this.#link(new WindowNode(key, start)), lastReceiveTs);
  }

  #closeIdle(node: WindowNode, receiveTime: number): void {
    this.#stubs.append(node, receiveTime);
    this.close(node.key, node.start, true, receiveTime);
  }

  #find(key: string, start: number): WindowNode | undefined {
    let node = key === this.#currentKey ? this.#currentFirst : this.#devices.get(key);
    while (node !== undefined && node.start < start) node = node.sibling;
    return node?.start === start ? node : undefined;
  }

  #link(node: WindowNode): WindowNode {
    this.#currentKey = undefined;
    let before: WindowNode | undefined;
    let after = this.#devices.get(node.key);
    while (after !== undefined && after.start < node.start) {
      before = after;
      after = after.sibling;
    }
    node.sibling = after;
    if (before === undefined) this.#devices.set(node.key, node);
    else before.sibling = node;
    return node;
  }

  #unlink(node: WindowNode): void {
    this.#currentKey = undefined;
    const first = this.#devices.get(node.key);
    if (first === node) {
      if (node.sibling === undefined) this.#devices.delete(node.key);
      else this.#devices.set(node.key, node.sibling);
      return;
    }
    for (let before = first; before !== undefined; before = before.sibling) {
      if (before.sibling !== node) continue;
      before.sibling = node.sibling;
      return;
    }
  }
}
