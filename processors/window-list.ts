/** Windows in the order of a time that only moves forward: appended at the end, due at the head; no scan, no allocation per record. */

export class WindowNode {
  readonly key: string;
  readonly start: number;
  /** The device's next window by start. */
  sibling: WindowNode | undefined = undefined;
  /** The list it is in, and what that list goes by. Epoch ms. */
  list: WindowList | undefined = undefined;
  since = 0;
  next: WindowNode | undefined = undefined;
  previous: WindowNode | undefined = undefined;

  constructor(key: string, start: number) {
    this.key = key;
    this.start = start;
  }
}

export class WindowList {
  head: WindowNode | undefined = undefined;
  #tail: WindowNode | undefined = undefined;

  /** Moves the node to the end of this list, from wherever it is. */
  append(node: WindowNode, since: number): void {
    node.since = since;
    if (this.#tail === node) return;
    node.list?.remove(node);
    node.list = this;
    node.previous = this.#tail;
    if (this.#tail === undefined) this.head = node;
    else this.#tail.next = node;
    this.#tail = node;
  }

  remove(node: WindowNode): void {
    if (node.previous === undefined) this.head = node.next;
    else node.previous.next = node.next;
    if (node.next === undefined) this.#tail = node.previous;
    else node.next.previous = node.previous;
    node.next = undefined;
    node.previous = undefined;
    node.list = undefined;
  }

  clear(): void {
    this.head = undefined;
    this.#tail = undefined;
  }
}
