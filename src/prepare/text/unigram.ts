/**
 * Text → pieces by the unigram model: of all ways to cut the text, the one whose pieces' scores sum to the most. It finds what
 * `@huggingface/tokenizers` finds, sum by sum and tie by tie, without an object for each piece that fits anywhere, which the library
 * makes and copies several times.
 *
 *   trie      (node, character) ─► node     one open table of integers
 *   lattice   at each place, the pieces that begin there; the best way to each of them is known as it is added, because
 *             everything that ends at its place began before it
 */

/** Room for a sentence; of a longer text, which callers bound, it grows. */
const usualNodes = 1_024;
const none = -1;

export class Unigram {
  readonly #trie: Trie;
  readonly #scores: Float64Array;
  readonly #unknownScore: number;
  /** Where each character begins in the text, its code point, and the first and last node of the lattice that ends before it. */
  #starts = new Int32Array(0);
  #codePoints = new Int32Array(0);
  #firstEnding = new Int32Array(0);
  #lastEnding = new Int32Array(0);
  /** Of each node: where it begins, the best way to its end and that way's node before it, and the next one with the same end. */
  #begins = new Int32Array(usualNodes);
  #sums = new Float64Array(usualNodes);
  #before = new Int32Array(usualNodes);
  #nextEnding = new Int32Array(usualNodes);
  #nodes = 0;
  /** What `#seekBest` found: the last node of the best way, or none, and the way's sum. */
  #bestNode = none;
  #bestSum = 0;

  /** Pieces with their scores; `unknownScore`: of a character that is no piece. */
  constructor(pieces: readonly (readonly [string, number])[], unknownScore: number) {
    this.#trie = new Trie(pieces.map(([piece]) => piece));
    this.#scores = Float64Array.from(pieces, ([, score]) => score);
    this.#unknownScore = unknownScore;
  }

  /** Characters that are no piece come one by one. */
  tokenize(text: string): string[] {
    const characters = this.#read(text);
    this.#nodes = 0;
    for (let from = 0; from < characters; from += 1) this.#addFrom(from, characters);
    const pieces: string[] = [];
    let end = characters;
    this.#seekBest(characters, 0);
    for (let node = this.#bestNode; node !== none; node = this.#before[node] ?? none) {
      const begin = this.#begins[node] ?? 0;
      pieces.push(text.slice(this.#starts[begin], this.#starts[end]));
      end = begin;
    }
    return pieces.reverse();
  }

  /** Returns the number of characters. */
  #read(text: string): number {
    if (this.#starts.length <= text.length) {
      const room = 2 * text.length + 1;
      this.#starts = new Int32Array(room);
      this.#codePoints = new Int32Array(room);
      this.#firstEnding = new Int32Array(room);
      this.#lastEnding = new Int32Array(room);
    }
    let characters = 0;
    for (let at = 0; at < text.length; characters += 1) {
      const codePoint = text.codePointAt(at) ?? 0;
      this.#starts[characters] = at;
      this.#codePoints[characters] = codePoint;
      at += codePoint > 0xffff ? 2 : 1;
    }
    this.#starts[characters] = text.length;
    this.#firstEnding.fill(none, 0, characters + 1);
    return characters;
  }

  #addFrom(from: number, characters: number): void {
    let isPiece = false;
    let node = Trie.root;
    for (let at = from; at < characters; at += 1) {
      node = this.#trie.child(node, this.#codePoints[at] ?? 0);
      if (node === none) break;
      const piece = this.#trie.pieceAt(node);
      if (piece === none) continue;
      this.#add(from, at + 1, this.#scores[piece] ?? 0);
      isPiece ||= at === from;
    }
    if (!isPiece) this.#add(from, from + 1, this.#unknownScore);
  }

  #add(begin: number, end: number, score: number): void {
    const node = this.#nodes;
    if (node === this.#begins.length) this.#grow();
    this.#nodes += 1;
    this.#seekBest(begin, score);
    this.#begins[node] = begin;
    this.#sums[node] = this.#bestSum;
    this.#before[node] = this.#bestNode;
    this.#nextEnding[node] = none;
    if (this.#firstEnding[end] === none) this.#firstEnding[end] = node;
    else this.#nextEnding[this.#lastEnding[end] ?? 0] = node;
    this.#lastEnding[end] = node;
  }

  /**
   * The way to a piece of this score from the best of those that end where it begins, the first of equals. The score is added before they
   * are compared, for sums that differ may become equal by it.
   */
  #seekBest(place: number, score: number): void {
    let best = none;
    let bestSum = score;
    let node = this.#firstEnding[place] ?? none;
    while (node !== none) {
      const sum = (this.#sums[node] ?? 0) + score;
      if (best === none || sum > bestSum) {
        best = node;
        bestSum = sum;
      }
      node = this.#nextEnding[node] ?? none;
    }
    this.#bestNode = best;
    this.#bestSum = bestSum;
  }

  #grow(): void {
    const room = 2 * this.#begins.length;
    this.#begins = grown(this.#begins, new Int32Array(room));
    this.#sums = grown(this.#sums, new Float64Array(room));
    this.#before = grown(this.#before, new Int32Array(room));
    this.#nextEnding = grown(this.#nextEnding, new Int32Array(room));
  }
}

function grown<Numbers extends Int32Array | Float64Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}

/** Three integers a node, where a node that is an object with a map of its own takes hundreds of bytes. */
class Trie {
  static readonly root = 0;
  /** Entries of a table that is at most half full: the node above, the character, and the node. */
  #parents: Int32Array;
  #codePoints: Int32Array;
  #children: Int32Array;
  #pieces: Int32Array;
  #nodes = 1;

  constructor(pieces: readonly string[]) {
    let characters = 1;
    for (const piece of pieces) characters += piece.length;
    const room = 2 ** Math.ceil(Math.log2(2 * characters));
    this.#parents = new Int32Array(room);
    this.#codePoints = new Int32Array(room);
    this.#children = new Int32Array(room).fill(none);
    this.#pieces = new Int32Array(characters).fill(none);
    for (const [piece, text] of pieces.entries()) {
      let node = Trie.root;
      for (const character of text) node = this.#make(node, character.codePointAt(0) ?? 0);
      this.#pieces[node] = piece;
    }
  }

  /** -1: no piece begins so. */
  child(node: number, codePoint: number): number {
    return this.#children[this.#entry(node, codePoint)] ?? none;
  }

  /** The piece that ends there; -1 where none does. */
  pieceAt(node: number): number {
    return this.#pieces[node] ?? none;
  }

  #make(parent: number, codePoint: number): number {
    const entry = this.#entry(parent, codePoint);
    const found = this.#children[entry] ?? none;
    if (found !== none) return found;
    const node = this.#nodes;
    this.#nodes += 1;
    this.#parents[entry] = parent;
    this.#codePoints[entry] = codePoint;
    this.#children[entry] = node;
    return node;
  }

  /** Where it stands, or would. */
  #entry(parent: number, codePoint: number): number {
    const last = this.#children.length - 1;
    let entry = (Math.imul(parent, 0x9e3779b1) ^ Math.imul(codePoint, 0x85ebca6b)) >>> 0;
    entry = (entry ^ (entry >>> 15)) & last;
    while (
      this.#children[entry] !== none &&
      (this.#parents[entry] !== parent || this.#codePoints[entry] !== codePoint)
    ) {
      entry = (entry + 1) & last;
    }
    return entry;
  }
}
