/** What is due next: a binary heap by time, and by who was scheduled first. Entries know their place, so that one can be moved or taken out. */

export interface Due {
  /** By the clock of whoever schedules, ms. */
  dueTs: number;
  /** Among those of one time. The heap's own. */
  dueOrder: number;
  /** Place in the heap; -1 outside. The heap's own. */
  heapIndex: number;
}

export class DueHeap<T extends Due> {
  readonly #items: T[] = [];
  #scheduled = 0;

  /** In no order. */
  get items(): readonly T[] {
    return this.#items;
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  /** Puts it in, or moves it when it is in already. */
  schedule(item: T, dueTs: number): void {
    item.dueTs = dueTs;
    item.dueOrder = this.#scheduled++;
    if (item.heapIndex === -1) {
      item.heapIndex = this.#items.length;
      this.#items.push(item);
    }
    this.#down(this.#up(item.heapIndex));
  }

  remove(item: T): void {
    const index = item.heapIndex;
    if (index === -1) return;
    item.heapIndex = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#place(last, index);
    this.#down(this.#up(index));
  }

  #up(from: number): number {
    let index = from;
    const item = this.#items[index];
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (isBefore(this.#items[parent], item)) break;
      this.#place(this.#items[parent], index);
      index = parent;
    }
    this.#place(item, index);
    return index;
  }

  #down(from: number): void {
    let index = from;
    const item = this.#items[index];
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.#items.length) break;
      if (child + 1 < this.#items.length && isBefore(this.#items[child + 1], this.#items[child])) child++;
      if (isBefore(item, this.#items[child])) break;
      this.#place(this.#items[child], index);
      index = child;
    }
    this.#place(item, index);
  }

  #place(item: T, index: number): void {
    this.#items[index] = item;
    item.heapIndex = index;
  }
}

export function isBefore(a: Due, b: Due): boolean {
  return a.dueTs < b.dueTs || (a.dueTs === b.dueTs && a.dueOrder < b.dueOrder);
}
