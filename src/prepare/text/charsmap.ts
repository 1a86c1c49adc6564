/**
 * SentencePiece's precompiled charsmap: a double-array trie (Darts-clone) from texts to texts, all in UTF-8.
 *
 *   4 bytes        n bytes                     the rest
 *   ┌────────────┬───────────────────────────┬────────────────────────────┐
 *   │ n, u32     │ units of the trie, u32    │ values, each ended by zero │
 *   └────────────┴───────────────────────────┴────────────────────────────┘
 *
 * A unit says its own label, where its children are (at `place ^ offset ^ label`) and whether a key ends at it; then the
 * unit at `place ^ offset` holds the place of the value. The trie stays as it is, because its ends are shared: the one
 * of nmt_nfkc has 60,000 units and stands for 225,000 texts. It is never believed: a walk ends where the trie
 * does, or after so many bytes.
 */

/** The longest key of SentencePiece's own rules has 12 bytes. */
const keyBytesMax = 64;

export class Charsmap {
  readonly #units: Uint32Array;
  readonly #values: Buffer;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** By their place. */
  readonly #texts = new Map<number, string | null>();

  /** Throws an Error where the sizes do not fit. */
  constructor(charsmap: Uint8Array) {
    const bytes = Buffer.from(charsmap);
    if (bytes.byteLength < 4) throw new Error(`the charsmap has ${bytes.byteLength} bytes`);
    const trieBytes = bytes.readUInt32LE();
    if (trieBytes % 4 !== 0 || trieBytes > bytes.byteLength - 4) {
      throw new Error(`the charsmap claims ${trieBytes} bytes of trie in ${bytes.byteLength}`);
    }
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, at) =>
      bytes.readUInt32LE(4 + 4 * at),
    );
    this.#values = bytes.subarray(4 + trieBytes);
  }

  /** At each place the longest key that is there becomes its value; half a surrogate pair becomes U+FFFD. */
  apply(text: string): string {
    const bytes = Buffer.from(text, "utf8");
    const parts: string[] = [];
    let copied = 0;
    for (let at = 0; at < bytes.length; ) {
      const found = this.#longest(bytes, at);
      if (found === null) {
        at += 1;
        continue;
      }
      if (copied < at) parts.push(bytes.toString("utf8", copied, at));
      parts.push(found.value);
      at = found.end;
      copied = at;
    }
    parts.push(bytes.toString("utf8", copied));
    return parts.join("");
  }

  /** Throws an Error where a value is none. `apply` would leave its key as it is. */
  check(): void {
    const seen = new Uint8Array(this.#units.length);
    const open = this.#units.length === 0 ? [] : [0];
    for (let place = open.pop(); place !== undefined; place = open.pop()) {
      const unit = this.#units[place] ?? 0;
      const children = place ^ offsetOf(unit);
      if (place > 0 && endsKey(unit) && this.#value(children) === null) {
        throw new Error("the charsmap has a value that lies outside of it or is not UTF-8");
      }
      for (let label = 1; label < 256; label += 1) {
        const child = children ^ label;
        if (seen[child] !== 0 || labelOf(this.#units[child] ?? 0) !== label) continue;
        seen[child] = 1;
        open.push(child);
      }
    }
  }

  #longest(bytes: Buffer, start: number): { readonly end: number; readonly value: string } | null {
    const last = Math.min(bytes.length, start + keyBytesMax);
    let children = offsetOf(this.#units[0] ?? 0);
    let found: { end: number; value: string } | null = null;
    for (let at = start; at < last; at += 1) {
      const label = bytes[at] ?? 0;
      const place = children ^ label;
      const unit = this.#units[place];
      if (unit === undefined || label === 0 || labelOf(unit) !== label) break;
      children = place ^ offsetOf(unit);
      // A key that ends inside of a character is none.
      if (!endsKey(unit) || ((bytes[at + 1] ?? 0) & 0xc0) === 0x80) continue;
      const value = this.#value(children);
      if (value !== null) found = { end: at + 1, value };
    }
    return found;
  }

  /** Null where the leaf does not lead to a text. */
  #value(leaf: number): string | null {
    const start = (this.#units[leaf] ?? 0x7fff_ffff) & 0x7fff_ffff;
    const known = this.#texts.get(start);
    if (known !== undefined) return known;
    const end = this.#values.indexOf(0, start);
    const value = start >= this.#values.length || end === -1 ? null : this.#decode(start, end);
    this.#texts.set(start, value);
    return value;
  }

  #decode(start: number, end: number): string | null {
    try {
      return this.#decoder.decode(this.#values.subarray(start, end));
    } catch {
      return null;
    }
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** With the highest bit, which a leaf has and no label does. */
function labelOf(unit: number): number {
  return (unit & 0x8000_00ff) >>> 0;
}

function endsKey(unit: number): boolean {
  return ((unit >>> 8) & 1) === 1;
}
