/** What is due next: a binary heap by time, whose entries know their place, so that one can be moved or taken out. */

export interface Due {
  /** Epoch ms. */
  dueTs: number;
  /** Place in the heap; -1 outside. The heap's own. */
  heapIndex: number;
}

export class DueHeap<T extends Due> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  /** Puts it in, or moves it when it is in already. */
  schedule(item: T, dueTs: number): void {
    item.dueTs = dueTs;
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
      if (this.#items[parent].dueTs <= item.dueTs) break;
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
      if (child + 1 < this.#items.length && this.#items[child + 1].dueTs < this.#items[child].dueTs) child++;
      if (this.#items[child].dueTs >= item.dueTs) break;
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
