export interface ReadonlyHeap<T> {
  readonly size: number;
  peek(): T | undefined;
  has(member: T): boolean;
  /** In order, lazily: the first k members cost O(k log k). The heap must not change meanwhile. */
  ordered(): Generator<T, void, undefined>;
}

/** So few members are found by looking through them. */
const unmappedMax = 8;

/**
 * A binary heap that knows where each member stands, so that any member leaves in O(log n) and no dead entry
 * is ever kept. It can also be read in order without being changed. Positions are mapped where there are many members only:
 * most heaps are small, and a map for each would outweigh them.
 *
 * ```
 *            0:a                 positions  a→0 b→1 c→2 d→3
 *           /   \
 *         1:b    2:c             delete(b): the last member takes its place and sinks or rises
 *         /
 *       3:d
 * ```
 */
export class OrderedHeap<T> implements ReadonlyHeap<T> {
  readonly #before: (a: T, b: T) => boolean;
  readonly #members: T[] = [];
  #positions: Map<T, number> | null = null;

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
    return this.#find(member) !== undefined;
  }

  /** Adding a member twice changes nothing. */
  add(member: T): void {
    if (this.has(member)) return;
    if (this.#positions === null && this.size >= unmappedMax)
      this.#positions = new Map(this.#members.map((each, at) => [each, at]));
    this.#put(member, this.#members.length);
    this.#rise(this.#members.length - 1);
  }

  delete(member: T): boolean {
    const at = this.#find(member);
    if (at === undefined) return false;
    this.#positions?.delete(member);
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#put(last, at);
      this.#sink(this.#rise(at));
    }
    if (this.size === 0) this.#positions = null;
    return true;
  }

  /** Its order among the others has changed. */
  moved(member: T): void {
    const at = this.#find(member);
    if (at !== undefined) this.#sink(this.#rise(at));
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

  #find(member: T): number | undefined {
    if (this.#positions !== null) return this.#positions.get(member);
    const at = this.#members.indexOf(member);
    return at < 0 ? undefined : at;
  }

  #put(member: T, at: number): void {
    this.#members[at] = member;
    this.#positions?.set(member, at);
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

  /** Where it ends. */
  #rise(from: number): number {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
    return at;
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
