/**
 * A binary heap that knows where each member stands, so that any member leaves in O(log n) and no dead entry
 * is ever kept. It can also be read in order without being changed.
 *
 * ```
 *            0:a                 positions  a→0 b→1 c→2 d→3
 *           /   \
 *         1:b    2:c             delete(b): the last member takes its place and sinks or rises
 *         /
 *       3:d
 * ```
 */
export interface ReadonlyHeap<T> {
  readonly size: number;
  peek(): T | undefined;
  has(member: T): boolean;
  /** In order, lazily: the first k members cost O(k log k). The heap must not change meanwhile. */
  ordered(): Generator<T, void, undefined>;
}

export class OrderedHeap<T> implements ReadonlyHeap<T> {
  readonly #before: (a: T, b: T) => boolean;
  readonly #members: T[] = [];
  readonly #positions = new Map<T, number>();

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#members.length;
  }

  peek(): T | undefined {
    return this.#members[0];
  }

  has(member: T): boolean {
    return this.#positions.has(member);
  }

  /** Adding a member twice changes nothing. */
  add(member: T): void {
    if (this.#positions.has(member)) return;
    this.#put(member, this.#members.length);
    this.#rise(this.#members.length - 1);
  }

  delete(member: T): boolean {
    const at = this.#positions.get(member);
    if (at === undefined) return false;
    this.#positions.delete(member);
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#put(last, at);
      this.#rise(at);
      this.#sink(this.#positions.get(last) ?? at);
    }
    return true;
  }

  *ordered(): Generator<T, void, undefined> {
    // The next member in order is always among the children of those already given.
    const frontier = new OrderedHeap<number>((a, b) => this.#isBefore(a, b));
    if (this.size > 0) frontier.add(0);
    for (let at = frontier.peek(); at !== undefined; at = frontier.peek()) {
      frontier.delete(at);
      const member = this.#members[at];
      if (member === undefined) return;
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < this.size) frontier.add(child);
      yield member;
    }
  }

  #put(member: T, at: number): void {
    this.#members[at] = member;
    this.#positions.set(member, at);
  }

  #isBefore(a: number, b: number): boolean {
    const left = this.#members[a];
    const right = this.#members[b];
    return left !== undefined && right !== undefined && this.#before(left, right);
  }

  #swap(a: number, b: number): void {
    const left = this.#members[a];
    const right = this.#members[b];
    if (left === undefined || right === undefined) return;
    this.#put(right, a);
    this.#put(left, b);
  }

  #rise(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(from: number): void {
    for (let at = from; ; ) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (this.#isBefore(child, first)) first = child;
      if (first === at) return;
      this.#swap(at, first);
      at = first;
    }
  }
}
